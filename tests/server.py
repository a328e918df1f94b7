#!/usr/bin/env python3
"""Tests `vmt serve` from outside: its answers are those of `vmt compose`, and it outlives bad clients, bad films and bad luck.

    server.py RELEASE_FOLDER [--fuzz N] [--only LETTERS]

Each part is a function whose name begins with its letter; --only abk runs some of them.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = ROOT / "tests/data/demo.mp4"
MEDIA = {
    "mid": "audio/midi", "wav": "audio/wav", "mp4": "video/mp4", "png": "image/png", "svg": "image/svg+xml", "json": "application/json",
    "musicxml": "application/vnd.recordare.musicxml+xml", "mxl": "application/vnd.recordare.musicxml",
}
ENDS = {"done", "failed", "cancelled", "lost"}
# Seconds after which what hangs is given up. How long something takes is printed, and no failure: a machine may be busy.
LONGEST = 120


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def must(self, *statuses):
        assert self.status in statuses, f"{self.status} instead of {statuses}: {self.body[:300]}"
        return self


class Server:
    """`vmt serve` at a port of its own, with a folder for temporary files of its own, and another that it is in."""

    def __init__(self, vmt, place, *options, before=(), ready=True, **more):
        self.place = pathlib.Path(tempfile.mkdtemp(dir=place, prefix="server-"))
        self.place.chmod(0o777)
        self.temporary, self.here = self.place / "tmp", self.place / "here"
        for folder in (self.temporary, self.here):
            folder.mkdir()
            folder.chmod(0o777)
        self.errors = self.place / "errors"
        command = [*before, vmt, "serve", "--listen", "127.0.0.1:0", *map(str, options)]
        with self.errors.open("wb") as errors:
            environment = {**os.environ, "TMPDIR": str(self.temporary), **more}
            self.process = subprocess.Popen(command, cwd=self.here, env=environment, stderr=errors)
        self.port = int(self.wait(lambda: re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.said()), "its address")[1])
        if ready:
            self.wait(lambda: self.call("GET", "/health/ready").status == 200, "the model")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert "panicked" not in self.said(), self.said()[-2000:]

    def said(self):
        return self.errors.read_text(errors="replace")

    def wait(self, what, name):
        end = time.monotonic() + LONGEST
        while not (found := what()):
            assert self.process.poll() is None, f"the server has ended: {self.said()[-1000:]}"
            assert time.monotonic() < end, f"waited in vain for {name}"
            time.sleep(0.02)
        return found

    def call(self, method, path, body=None, **headers):
        """Names of headers have _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def compose(self, body, options=(), **headers):
        return self.call("POST", "/v1/compose?" + urllib.parse.urlencode(list(options)), body, **headers)

    def submit(self, body, options=()):
        """The address of a new job."""
        return self.compose(body, options, Prefer="respond-async").must(202).headers["Location"]

    def end(self, job):
        """The job when it has ended."""
        return self.wait(lambda: (it := self.call("GET", job).json)["state"] in ENDS and it, f"the end of {job}")

    def metric(self, name):
        found = re.search(rf"^vmt_{re.escape(name)} (\S+)$", self.call("GET", "/metrics").body.decode(), re.M)
        return float(found[1]) if found else 0.0

    def idle(self):
        """Seconds until nothing runs or waits, and no child process is left."""
        began = time.monotonic()
        gauges = ["lanes", 'jobs_now{state="running"}', 'jobs_now{state="queued"}']
        self.wait(lambda: not any(map(self.metric, gauges)) and not children(self.process.pid), "nothing to run")
        return time.monotonic() - began

    def raw(self, *pieces, pause=0.0):
        """All that is answered to these bytes, of which no more are sent once an answer begins."""
        with socket.create_connection(("127.0.0.1", self.port), LONGEST) as client:
            try:
                for piece in pieces:
                    client.sendall(piece)
                    if select.select([client], [], [], pause)[0]:
                        break
            except (BrokenPipeError, ConnectionResetError):
                pass
            return drain(client)


def drain(client):
    got = b""
    try:
        while more := client.recv(1 << 16):
            got += more
    except ConnectionResetError:
        pass
    return got


def status(bytes_):
    """The status of an answer, which 100 Continue may come before; None if there is none."""
    found = re.match(rb"(?:HTTP/1.1 100 Continue\r\n\r\n)?HTTP/1.1 (\d+)", bytes_)
    return int(found[1]) if found else None


def children(process):
    with contextlib.suppress(FileNotFoundError):
        tasks = pathlib.Path(f"/proc/{process}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def wait_for_end(processes):
    end = time.monotonic() + LONGEST
    for process in processes:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while "State:\tZ" not in pathlib.Path(f"/proc/{process}/status").read_text():
                assert time.monotonic() < end, f"the child process {process} outlives the server"
                time.sleep(0.05)


def memory(process):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{process}/status").read_text())[1]) >> 10


def form(parts):
    """A multipart/form-data body of (name, file name or None, bytes), and its type."""
    head = '--edge\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n'
    named = lambda file: f'; filename="{file}"' if file else ""
    body = b"".join(head.format(name, named(file)).encode() + value + b"\r\n" for name, file, value in parts)
    return body + b"--edge--\r\n", "multipart/form-data; boundary=edge"


class Films:
    """Films, and what the command line composes for them, once."""

    def __init__(self, vmt, place):
        self.vmt, self.place, self.lock, self.known = vmt, place, threading.Lock(), {}
        place.mkdir()

    def make(self, name, source, *options):
        path = self.place / name
        if not path.exists():
            encoding = () if name.endswith((".rgb", ".avi")) else ("-pix_fmt", "yuv420p")
            command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *encoding, *options, str(path)]
            subprocess.run(command, check=True)
        return path

    def short(self):
        return self.make("short.mp4", "testsrc2=size=160x120:rate=10:duration=3")

    def mixed(self):
        sources = {"a.mp4": "testsrc2=size=320x180:rate=25:duration=5", "b.mkv": "color=red:size=96x96:rate=12:duration=4",
                   "c.avi": "testsrc2=size=176x144:rate=30:duration=3"}
        return [self.short(), *(self.make(name, source) for name, source in sources.items())]

    def half_minute(self):
        return self.make("half-minute.mp4", "testsrc2=size=64x64:rate=10:duration=30")

    def long(self):
        return self.make("long.mp4", "testsrc2=size=64x64:rate=5:duration=500")

    def composed(self, film, options=(), kinds=("mid",), raw=False):
        """The files that `vmt compose` writes, by their extensions: mid, 2.mid, ..."""
        key = (film, tuple(options), tuple(kinds))
        with self.lock:
            if key not in self.known:
                self.known[key] = self.run(film, options, kinds, raw)
            return self.known[key]

    def run(self, film, options, kinds, raw):
        with tempfile.TemporaryDirectory(dir=self.place) as out:
            given = [f"--{name}={value}" if value else f"--{name}" for name, value in options]
            outputs = [f"-o{out}/music.{kind}" for kind in kinds]
            source = ["--frames", "-"] if raw else [str(film)]
            with film.open("rb") as frames:
                command = [self.vmt, "compose", *source, "--quiet", "--keep-takes", *given, *outputs]
                subprocess.run(command, stdin=frames if raw else subprocess.DEVNULL, check=True, cwd=out)
            return {file.name.removeprefix("music."): file.read_bytes() for file in pathlib.Path(out).iterdir()}


def same(kind, got, want):
    """Byte for byte; a record but for the film's name."""
    if not kind.endswith("json"):
        return got == want
    got, want = json.loads(got), json.loads(want)
    for record in (got, want):
        record["provenance"].pop("film")
        drop_names(record)
    return got == want


def drop_names(value):
    """Of files besides the film: the server names them otherwise."""
    for name in ("primer", "hits", "intensity"):
        file = value["provenance"].get("options", {}).get(name)
        if isinstance(file, str) and "/" in file:
            del value["provenance"]["options"][name]


# ---- the parts


def a_bytes(tests):
    films, count = tests.films, 0
    demo, short = DEMO, films.short()
    raw = films.make("raw.rgb", "testsrc2=size=64x48:rate=8:duration=4", "-f", "rawvideo", "-pix_fmt", "rgb24")
    hits = tests.file("hits.txt", b"1.0\n2.5\n")
    curve = tests.file("curve.txt", b"0 0.2\n3 0.9\n")
    primer = tests.file("primer.mid", films.composed(short, [("seed", "9")])["mid"])
    every = list(MEDIA)
    sets = [
        (demo, [("seed", "3"), ("takes", "3"), ("tempo", "100"), ("key", "A"), ("scale", "minor")], {}, every),
        (demo, [("hit", "2"), ("hit", "4.5"), ("start", "1"), ("end", "0:06"), ("thumbnails", ""), ("original-volume", "0.5")], {}, every),
        (short, [("hands", ""), ("density", "3"), ("max-polyphony", "4"), ("seed", "18446744073709551615")], {}, ["mid", "wav", "json"]),
        (short, [("takes", "2"), ("seed", "5")], {"hits": hits, "intensity": curve, "primer": primer}, ["mid", "musicxml", "json"]),
        (raw, [("size", "64x48"), ("fps", "8"), ("seed", "7")], {}, [kind for kind in every if kind != "mp4"]),
    ]
    with tests.server() as server:
        for film, options, files, kinds in sets:
            given = options + [(name, str(path)) for name, path in files.items()]
            want = films.composed(film, given, kinds, raw=film == raw)
            body, more = film.read_bytes(), {}
            query = options
            if files or film == demo:
                parts = [(name, None, value.encode()) for name, value in options]
                parts += [(name, path.name, path.read_bytes()) for name, path in files.items()]
                body, kind = form([*parts, ("film", film.name, body)])
                query, more = [], {"Content_Type": kind}
            short_answer = server.compose(body, query, Accept=MEDIA[kinds[-1]], **more).must(200)
            assert same(kinds[-1], short_answer.body, want[kinds[-1]]), f"{options}: a short answer differs in {kinds[-1]}"
            job = server.compose(body, query, Prefer="respond-async", **more).must(202).headers["Location"]
            takes = server.end(job)["takes"]
            files_of = lambda kind: [name for name in want if name == kind or re.fullmatch(rf"\d+\.{kind}", name)]
            for name in itertools.chain.from_iterable(map(files_of, kinds)):
                got = server.call("GET", f"{job}/music.{name}").must(200)
                assert same(name, got.body, want[name]), f"{options}: music.{name} differs ({len(got.body)}, {len(want[name])} bytes)"
                assert got.headers["Content-Type"] == MEDIA[name.split(".")[-1]], name
                count += 1
            assert len(takes) == len(files_of(kinds[0])), takes
        head = server.call("HEAD", f"{job}/music.wav").must(200)
        assert (head.body, int(head.headers["Content-Length"])) == (b"", len(want["wav"]))
        part = server.call("GET", f"{job}/music.wav", Range="bytes=100-299").must(206)
        assert part.body == want["wav"][100:300] and part.headers["Content-Range"] == f"bytes 100-299/{len(want['wav'])}"
        server.call("GET", f"{job}/music.wav", Range="bytes=99999999-").must(416)
    return f"{count} files of {len(sets)} option sets are those of the command line"


def b_crowd(tests):
    cases = [(film, [("seed", str(seed)), ("takes", "2")]) for film in tests.films.mixed() for seed in (1, 2)]
    wants = {index: tests.films.composed(*case)["mid"] for index, case in enumerate(cases)}
    refused = itertools.count()

    def client(number):
        index = number % len(cases)
        film, options = cases[index]
        while (answer := server.compose(film.read_bytes(), options).must(200, 429)).status == 429:
            next(refused)
            time.sleep(min(int(answer.headers["Retry-After"]), 2))
        assert answer.body == wants[index], f"client {number}: another piece"

    with tests.server("--per-client", 12) as server, concurrent.futures.ThreadPoolExecutor(32) as pool:
        began = time.monotonic()
        list(pool.map(client, range(32)))
        took = time.monotonic() - began
        server.idle()
    refusals = next(refused)
    assert refusals, "32 clients of one address, of which 12 may call at once: none was refused"
    return f"32 right answers in {took:.1f} s, {refusals} times 429"


def c_gone(tests):
    film, times = tests.films.long().read_bytes(), []
    with tests.server("--jobs", 1) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST /v1/compose?takes=4 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(film) + film)
        server.wait(lambda: server.metric("lanes") == 4, "the job")
        client.close()
        times.append(server.idle())
        running = server.submit(film)
        queued = server.submit(film)
        server.wait(lambda: server.call("GET", running).json["events"] > 0, "its first events")
        assert server.call("GET", queued).json["place"] == 1
        stream = socket.create_connection(("127.0.0.1", server.port), LONGEST)
        stream.sendall(f"GET {running}/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        for job in (queued, running):
            server.call("DELETE", job).must(204)
            server.call("GET", job).must(404)
        times.append(server.idle())
        assert b'"state":"cancelled"' in drain(stream), "a listener is told that the job was cancelled"
        cancelled = server.metric('jobs_total{state="cancelled"}')
        assert cancelled == 3, f"{cancelled} cancelled jobs instead of 3"
        # 5 takes of 500 seconds would be some 20,000.
        events = server.metric("events_total")
        assert events < 10_000, f"{events} events were decoded for nobody"
    return "3 cancelled jobs ended within " + ", ".join(f"{it:.2f} s" for it in times)


def whole(file):
    """Whether a file of a job is not cut off."""
    data = file.read_bytes()
    if file.suffix == ".json":
        return bool(json.loads(data))
    ends = {".mid": b"\xff\x2f\x00", ".png": b"IEND\xaeB`\x82"}
    return file.name == "film" or file.suffix not in ends or data.endswith(ends[file.suffix])


def d_killed(tests):
    films, kept = tests.films, tests.place / "kept"
    short, long_ = films.short(), films.long().read_bytes()
    with tests.server("--dir", kept, "--jobs", 2) as server:
        done = server.submit(short.read_bytes(), [("seed", "4"), ("takes", "2")])
        server.end(done)
        server.call("GET", f"{done}/music.png").must(200)
        unfinished = [server.submit(long_, [("takes", "4")]) for _ in range(3)]
        server.wait(lambda: server.metric("lanes") == 8, "two running jobs")
        # One in the middle of its body.
        sending = socket.create_connection(("127.0.0.1", server.port))
        sending.sendall(b"POST /v1/compose HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(long_) + long_[:5000])
        server.wait(lambda: len(list(kept.glob("*/film"))) == 5, "its film")
        second = subprocess.run([tests.vmt, "serve", "--listen", "127.0.0.1:0", "--dir", kept], capture_output=True, timeout=LONGEST)
        assert second.returncode == 1 and b"is used by another server" in second.stderr, second
        left = children(server.process.pid)
        server.process.kill()
        server.process.wait()
    wait_for_end(left)
    with tests.server("--dir", kept) as server:
        want = films.composed(short, [("seed", "4"), ("takes", "2")], ["mid"])
        for name in ("mid", "2.mid"):
            assert server.call("GET", f"{done}/music.{name}").must(200).body == want[name], name
        states = [server.call("GET", job).json["state"] for job in unfinished]
        assert states == ["lost"] * 3, states
        server.call("GET", unfinished[0] + "/music.mid").must(410)
        folders = {file.name for file in kept.iterdir()} - {"lock"}
        assert folders == {job.split("/")[-1] for job in [done, *unfinished]}, folders
        broken = [file for file in kept.glob("*/*") if not whole(file)]
        assert not broken, broken
    # Without --dir: the next server removes what a killed one left.
    with tests.server() as server:
        server.submit(short.read_bytes())
        old, left = set(server.temporary.iterdir()), children(server.process.pid)
        server.process.kill()
        server.process.wait()
    wait_for_end(left)
    assert old, "no temporary folder"
    with tests.server(TMPDIR=str(server.temporary)):
        left = old & set(server.temporary.iterdir())
        assert not left, f"left by a killed server: {left}"
    # SIGTERM, while the model loads or when it is there: nothing is left.
    for ready in (False, True) * 8:
        with tests.server(ready=ready) as server:
            server.process.terminate()
            code = server.process.wait(LONGEST)
        left = [str(file) for file in server.temporary.rglob("*")]
        assert code == 0 and not left, f"exit code {code}, left: {left}"
    # SIGTERM with a job.
    lasts = []
    for grace, film in ((20, films.half_minute().read_bytes()), (0, long_)):
        with tests.server("--grace-seconds", grace) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(server.compose, film)
            server.wait(lambda: server.metric("lanes"), "the job")
            began = time.monotonic()
            server.process.terminate()
            code = server.process.wait(LONGEST)
            lasts.append(time.monotonic() - began)
            assert code == 0, f"exit code {code}"
            if grace:
                assert answer.result().must(200).body.startswith(b"MThd")
            else:
                # An answer to so long a film would be 200.
                with contextlib.suppress(ConnectionError, http.client.HTTPException):
                    answer.result().must(503)
    return f"3 of 4 jobs lost, 1 kept; SIGTERM took {lasts[0]:.1f} s with a job, {lasts[1]:.1f} s without grace"


def e_errors(tests):
    short, notes = tests.films.short().read_bytes(), []
    big = tests.films.make("big.avi", "testsrc2=size=320x240:rate=10:duration=3", "-c:v", "rawvideo").read_bytes()
    assert len(big) > 3 << 20
    with tests.server() as server:
        for name in ("primer", "hits", "intensity"):
            body, kind = form([("film", "f", short), (name, "x", bytes(range(256)))])
            said = server.compose(body, Content_Type=kind).must(400).json["error"]
            assert said["code"] == "bad_option" and name in said["message"], said
    with tests.server("--disk", "1M") as server:
        server.compose(big).must(507)
        server.compose(short).must(200)
    mounted = tests.place / "mounted"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted]
    if os.getuid() == 0 and subprocess.run(mount, stderr=subprocess.DEVNULL).returncode == 0:
        try:
            with tests.server("--dir", mounted) as server:
                server.compose(big).must(507)
                job = server.submit(short)
                server.end(job)
                server.call("GET", f"{job}/music.wav").must(200, 507)
                (mounted / "fill").write_bytes(bytes(os.statvfs(mounted).f_bavail * 4096))
                answers = {server.compose(short).status, server.call("GET", f"{job}/music.png").status}
                assert answers == {507}, answers
                (mounted / "fill").unlink()
                server.compose(short).must(200)
        finally:
            subprocess.run(["umount", "-l", mounted], check=True)
    else:
        notes.append("no right to mount: without a full disk")
    tests.must_fail(["--dir", "/proc/nowhere"], "/proc/nowhere")
    tests.must_fail(["--token-file", "/nowhere/tokens"], "/nowhere/tokens")
    tests.must_fail(["--token-file", tests.file("empty", b"\n")], "must have a token", code=2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        tests.must_fail(["--listen", address], address)
    if os.getuid() == 0:
        # Limits of processes do not hold for root. The threads of the server count too.
        user = ["setpriv", "--reuid=64999", "--regid=64999", "--clear-groups"]
        with tests.server(before=user) as server:
            server.compose(short).must(200)
            threads = len(list(pathlib.Path(f"/proc/{server.process.pid}/task").iterdir()))
            limit = lambda most: subprocess.run([*user, "prlimit", "--pid", str(server.process.pid), f"--nproc={most}:"], check=True)
            limit(threads)
            began = time.monotonic()
            refused = server.compose(short)
            took = time.monotonic() - began
            refused.must(503)
            assert "Retry-After" in refused.headers
            limit(500)
            server.compose(short).must(200)
            notes.append(f"503 after {took:.2f} s where no process can be started")
    else:
        notes.append("not root: without a limit of processes")
    return "; ".join(["full share and bad arguments are told", *notes])


def f_fuzz(tests):
    chance = random.Random(1)
    film = tests.films.short().read_bytes()
    some = lambda *choices: chance.choice(choices)
    noise = lambda most: chance.randbytes(chance.randrange(most))
    names = ["seed", "takes", "tempo", "key", "hit", "start", "end", "size", "fps", "density", "primer", "top-p", "o", "output", "bundle", "x"]
    value = lambda: some("1", "-1", "0", "", "nan", "1e999", "../../etc/passwd", "99999999999999999999", "%00", "%ff", "é", "a" * 3000)

    def path():
        ids = some("0" * 32, "../" * 5 + "etc/passwd", "%2e%2e%2f", "%00", "%ff%fe", "%E2%98%83", "a" * chance.randrange(9000), "job.json")
        last = some("", "/events", "/music.mid", "/music.-1.mid", "/music.99999999999999999999.mid", "/film", "/..%2f..%2fjob.json")
        query = "&".join(f"{some(*names)}={value()}" for _ in range(chance.randrange(4)))
        return some("/v1/jobs/" + ids + last, "/v1/compose?" + query, "/v2/models/" + ids, "/" + ids, "*", "//", "http://x/", "/page.js")

    def body():
        parts = [("film", some(None, "f"), film[:chance.randrange(len(film))]), (some(*names), some(None, "../x", "a\0b"), noise(99))]
        whole_, kind = form(chance.sample(parts, chance.randrange(3)))
        whole_ = some(whole_, whole_[:chance.randrange(len(whole_) + 1)], whole_.replace(b"\r\n", b"\n"), whole_.replace(b"edge", b"egde", 1))
        kind = some(kind, kind, "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 500)
        at = chance.randrange(len(film))
        damaged = film[:at] + noise(20) + film[at + chance.randrange(20):]
        return some((whole_, kind), (film[:at], "video/mp4"), (damaged, ""), (noise(5000), "a/b"), (b"", ""))

    def chunked(data):
        size = some(b"%x" % len(data), b"%x" % (len(data) + 5), b"-1", b"fffffffffffffffff", b"zz", b"%x;" % len(data) + b"e" * 500)
        return b"Transfer-Encoding: chunked\r\n\r\n" + size + some(b"\r\n", b"\n", b"") + data + some(b"\r\n0\r\n\r\n", b"\r\n0", b"")

    def inference():
        head = {"inputs": [{"name": some("film", "x"), "datatype": some("BYTES", "FP32"), "shape": some([1], [-1], [2, 2], "x", []),
                            "parameters": {"binary_data_size": some(len(film) + 4, -1, 0, 2 ** 63, "x")}}],
                "parameters": some({}, {"takes": some(1, -1, [], {"a": 1}, "x", 1e300)}), "outputs": some([], [{"name": "y"}])}
        text = some(json.dumps(head).encode(), b"{", b"[" * 9999, noise(99))
        data = text + struct.pack("<I", some(len(film), 0, 2 ** 32 - 1)) + film[:chance.randrange(len(film))]
        length = some(len(text), len(text) + 1, -1, 0, 2 ** 64 - 1, 2 ** 20 + 1)
        return (b"POST /v2/models/vmt/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nInference-Header-Content-Length: %d\r\n" % length
                + b"Content-Length: %d\r\n\r\n" % len(data) + data)

    def request():
        if chance.random() < 0.2:
            return inference()
        method = some("GET", "POST", "POST", "POST", "DELETE", "HEAD", "PUT", "OPTIONS", "PATCH", "TRACE", "A" * 50, "\0")
        known = ["/v1/compose", "/v1/compose?end=1&seed=2&tempo=off", f"/v1/compose?{some(*names)}={value()}"]
        target = path() if method != "POST" or chance.random() < 0.3 else some(*known)
        line = f"{method} {target} {some('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/9', '')}\r\n".encode()
        odd = some(b"", b"", b"A: " + b"b" * chance.randrange(100000) + b"\r\n", b"no colon\r\n", b"Range: bytes=5-1,-0\r\n", b": x\r\n",
                   b"Accept: " + noise(50) + b"\r\n", b"Prefer: wait=99999999999999999999\r\n", b"H: x\r\n" * chance.randrange(200),
                   b"Content-Length: 5\r\n", b"Last-Event-ID: -1\r\n", b"Prefer: respond-async\r\n", b"Expect: 100-continue\r\n")
        data, kind = body()
        head = line + b"Host: a\r\nConnection: close\r\n" + odd + b"Content-Type: " + kind.encode() + b"\r\n"
        length = some(len(data), len(data), len(data) + 3, -1)
        return head + (chunked(data) if chance.random() < 0.3 else b"Content-Length: %d\r\n\r\n" % length + data)

    def send(bytes_):
        with socket.create_connection(("127.0.0.1", server.port), 30) as client:
            # The server may have closed it already.
            with contextlib.suppress(OSError):
                client.sendall(bytes_)
                # Whoever shuts down is taken to have left: only after the time for an answer.
                if select.select([client], [], [], 0.7)[0] == []:
                    client.shutdown(socket.SHUT_WR)
            return status(drain(client))

    requests = [request() for _ in range(tests.fuzz)]
    limits = ["--header-seconds", 2, "--body-seconds", 2, "--max-seconds", 10, "--job-seconds", 20, "--per-client", 64, "--keep-seconds", 2]
    with tests.server(*limits, "--max-bytes", "1M", "--disk", "20M") as server, concurrent.futures.ThreadPoolExecutor(32) as pool:
        statuses = list(pool.map(send, requests[:len(requests) // 2]))
        before = memory(server.process.pid)
        statuses += pool.map(send, requests[len(requests) // 2:])
        after = memory(server.process.pid)
        server.wait(lambda: server.metric('jobs_now{state="done"}') == 0, "jobs to be forgotten")
        server.idle()
        assert server.process.poll() is None and "panicked" not in server.said(), server.said()[-2000:]
        wrong = [bytes_[:300] for bytes_, got in zip(requests, statuses) if got == 500]
        assert not wrong, f"{len(wrong)} times the status 500, such as {wrong[0]}: " + "\n".join(
            line for line in server.said().splitlines() if "ERROR" in line)[:2000]
        files = [file for file in server.place.rglob("*") if file.is_file() and file != server.errors]
        # A folder for temporary files has its lock in it.
        assert not [file for file in files if server.here in file.parents or re.search("film|music|input|job.json", file.name)], files
        assert after < before + 100, f"from {before} to {after} MiB"
    counts = ", ".join(f"{kind}: {statuses.count(kind)}" for kind in sorted(set(statuses), key=str))
    return f"{len(requests)} requests ({counts}), {before} MiB halfway, {after} MiB at the end"


def png(width, height):
    chunk = lambda name, data: struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_of_size(jpeg, width, height):
    """The same with another size in its header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4:]


def g_limits(tests):
    films = tests.films
    jpeg = films.make("one.jpg", "color=blue:size=64x64:duration=1", "-frames:v", "1").read_bytes()
    lying = bytearray(films.short().read_bytes())
    # Its length in the header of the film and of its track: an hour.
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = lying.index(box)
        lying[at + offset:at + offset + 4] = struct.pack(">I", 3600 * 10240)
    # 1000 frames of 9 megapixels, in few bytes.
    flat, bomb = films.make("flat.mkv", "color=black:size=4000x2200:rate=10:duration=1", "-preset", "veryfast"), films.place / "bomb.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-stream_loop", "99", "-i", flat, "-c", "copy", bomb], check=True)
    bad = {
        "a PNG of 100 megapixels": png(10000, 10000),
        "a JPEG of 100 megapixels": jpeg_of_size(jpeg, 10000, 10000),
        "10 hours": films.make("hours.mp4", "color=black:size=64x64:rate=1/10:duration=36000").read_bytes(),
        "a header that lies": bytes(lying),
        "1000 frames a second": films.make("fast.mkv", "color=black:size=64x64:rate=1000:duration=2", "-preset", "ultrafast").read_bytes(),
        "no film": b"this is no film" * 100,
        "huge frames": films.make("huge.mkv", "color=black:size=8192x4320:rate=1:duration=3", "-preset", "ultrafast").read_bytes(),
    }
    short = films.short()
    want, right, stop = films.composed(short)["mid"], itertools.count(), threading.Event()
    slow_body = b"POST /v1/compose HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    limits = ["--max-bytes", "4M", "--body-seconds", 4, "--header-seconds", 2, "--job-seconds", 5]

    def neighbour():
        while not stop.is_set():
            assert server.compose(short.read_bytes()).must(200).body == want
            next(right)

    with tests.server(*limits) as server, concurrent.futures.ThreadPoolExecutor(12) as pool:
        other = pool.submit(neighbour)
        took = {}

        def refused(name, statuses, call):
            began = time.monotonic()
            got = call()
            took[name] = time.monotonic() - began
            assert got in statuses, f"{name}: {got} instead of {statuses}"

        try:
            waits = [
                pool.submit(refused, "a byte a second", [408], lambda: status(server.raw(slow_body, *[b"a"] * 999, pause=1))),
                pool.submit(refused, "headers without end", [None, 408], lambda: status(
                    server.raw(b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 999, pause=0.7))),
                pool.submit(refused, "no first byte", [None, 408], lambda: status(server.raw())),
                pool.submit(refused, "a bomb of flat frames", [504], lambda: server.compose(bomb.read_bytes()).status),
            ]
            for name, body in bad.items():
                waits.append(pool.submit(refused, name, [422], lambda body=body: server.compose(body).status))
            refused("too large, with its length", [413], lambda: server.compose(bytes(5 << 20)).status)
            refused("too large, chunked", [413], lambda: server.compose(iter([bytes(1 << 20)] * 5)).status)
            for wait in waits:
                wait.result()
        finally:
            stop.set()
        other.result()
        server.idle()
    answered = next(right)
    assert answered > 1, "a client that behaves got no answer meanwhile"
    slowest = max(took, key=took.get)
    return f"{len(took)} refused, the slowest after {took[slowest]:.1f} s ({slowest}); {answered} right answers meanwhile"


def h_triton(tests):
    import numpy
    import tritonclient.http as triton

    short, options = tests.films.short(), [("takes", "3"), ("seed", "11")]
    with tests.server() as server, triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("vmt")
        metadata = client.get_model_metadata("vmt")
        assert metadata["inputs"] == [{"name": "film", "datatype": "BYTES", "shape": [1]}], metadata
        film = triton.InferInput("film", [1], "BYTES")
        film.set_data_from_numpy(numpy.array([short.read_bytes()], dtype=object))
        answer = client.infer("vmt", [film], parameters={"takes": 3, "seed": 11})
        midi = answer.as_numpy("music")[0]
        assert midi == tests.films.composed(short, options)["mid"], "another piece"
    return f"{len(midi)} bytes of MIDI through tritonclient"


def i_openapi(tests):
    from openapi_spec_validator import OpenAPIV31SpecValidator

    with tests.server() as server:
        document = server.call("GET", "/openapi.json").must(200).json
        assert document["openapi"].startswith("3.1"), document["openapi"]
        OpenAPIV31SpecValidator(document).validate()
        job = server.submit(tests.films.short().read_bytes()).split("/")[-1]
        server.end(f"/v1/jobs/{job}")
        routes = [(method, path) for path, methods in document["paths"].items() for method in methods
                  if method in ("get", "post", "put", "delete", "patch", "head")]
        values = {"id": job, "file": "music.mid", "model": "vmt", "version": "1"}
        # What removes the job comes last.
        for method, path in sorted(routes, key=lambda it: it[0] == "delete"):
            got = server.call(method.upper(), path.format(**values)).status
            assert got not in (404, 405) and got < 500, f"{method} {path}: {got}"
    return f"{len(routes)} routes of a valid document answer"


def j_access(tests):
    token_file = tests.file("tokens", b"first\nsecond\n")
    short = tests.films.short().read_bytes()
    with tests.server("--token-file", token_file, "--allow-origin", "https://example.org") as server:
        closed = [("GET", "/v1/options"), ("GET", "/v1/info"), ("GET", "/v1/jobs/x"), ("DELETE", "/v1/jobs/x"), ("POST", "/v1/compose"),
                  ("GET", "/v2/models/vmt"), ("POST", "/v2/models/vmt/infer")]
        for method, path in closed:
            for headers in ({}, {"Authorization": "Bearer third"}, {"Authorization": "Basic first"}):
                refused = server.call(method, path, **headers).must(401)
                assert refused.headers["WWW-Authenticate"].startswith("Bearer"), path
        opened = ["/health/live", "/health/ready", "/metrics", "/openapi.json", "/", "/page.css", "/page.js", "/example.mp4", "/v2/health/live"]
        for path in opened:
            server.call("GET", path).must(200)
        server.compose(short, Authorization="Bearer second").must(200)
        allowed = {"Origin": "https://example.org", "Authorization": "Bearer first"}
        answer = server.call("GET", "/v1/info", **allowed).must(200)
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://example.org")
        asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization, prefer"}
        preflight = server.call("OPTIONS", "/v1/compose", Origin="https://example.org", **asked).must(200, 204)
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://example.org"
        # "*" does not stand for Authorization (Fetch standard).
        headers_ = preflight.headers["Access-Control-Allow-Headers"].lower()
        assert "authorization" in headers_, f"a browser does not send a token: Access-Control-Allow-Headers is {headers_}"
        foreign = server.call("GET", "/v1/info", Origin="https://evil.example", Authorization="Bearer first").must(403)
        assert foreign.json["error"]["code"] == "forbidden_origin"
        preflight = server.call("OPTIONS", "/v1/compose", Origin="https://evil.example", **asked)
        assert preflight.headers["Access-Control-Allow-Origin"] != "https://evil.example"
        listening = pathlib.Path("/proc/net/tcp").read_text() + pathlib.Path("/proc/net/tcp6").read_text()
        places = re.findall(rf"^\s*\d+: ([0-9A-F]+):{server.port:04X} [0-9A-F:]+ 0A", listening, re.M)
        assert places == ["0100007F"], places
    with tests.server() as server:
        server.call("GET", "/v1/info", Origin="https://evil.example").must(403)
        server.call("GET", "/v1/info", Origin=f"http://127.0.0.1:{server.port}").must(200)
    return f"{len(closed)} closed and {len(opened)} open addresses; at 127.0.0.1 only"


def notes_of(midi):
    """The (pitch, velocity) of all note-ons, in order of time, of tracks without running status of other kinds."""
    found, at = [], 14
    while at < len(midi):
        size, at = struct.unpack(">I", midi[at + 4:at + 8])[0], at + 8
        end, time_, kind = at + size, 0, 0
        while at < end:
            delta, at = variable(midi, at)
            time_ += delta
            if midi[at] & 0x80:
                kind, at = midi[at], at + 1
            if kind == 0xFF:
                length, at = variable(midi, at + 1)
                at += length
            elif kind >> 4 in (0xC, 0xD):
                at += 1
            else:
                if kind >> 4 == 9 and midi[at + 1]:
                    found.append((time_, midi[at], midi[at + 1]))
                at += 2
    return [note[1:] for note in sorted(found)]


def variable(data, at):
    value = 0
    while True:
        value, at = value << 7 | data[at] & 0x7F, at + 1
        if not data[at - 1] & 0x80:
            return value, at


def messages(text):
    """(event, id, data) of server-sent events; comments are left out."""
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            yield fields["event"], int(fields["id"]), json.loads(fields["data"])


def k_events(tests):
    film = tests.films.half_minute()
    with tests.server() as server:
        job = server.submit(film.read_bytes(), [("seed", "6")])
        listened = server.call("GET", job + "/events").must(200)
        assert listened.headers["Content-Type"].startswith("text/event-stream")
        live = list(messages(listened.body.decode()))
        assert live[0][0] == "job" and live[-1][0] == "job" and live[-1][2]["state"] == "done", live[-1]
        played = [note for kind, _, data in live if kind == "played" for note in data]
        assert [it["time"] for it in played] == sorted(it["time"] for it in played), "out of order"
        kinds = [kind for kind, *_ in live]
        assert kinds.count("played") > 3, f"not live: {kinds}"
        ids = [number for _, number, _ in live]
        assert ids == sorted(ids), ids
        states = [data["state"] for kind, _, data in live if kind == "job"]
        assert states == sorted(states, key=["queued", "running", "done"].index), states
        heard = [(it["pitch"], it["velocity"]) for it in played if it["event"] == "note_on"]
        midi = server.call("GET", job + "/music.mid").must(200).body
        assert sorted(heard) == sorted(notes_of(midi)), f"{len(heard)} notes heard, {len(notes_of(midi))} in the file"
        rest = lambda number: [note for kind, _, data in messages(server.call("GET", job + "/events", Last_Event_ID=str(number)).body.decode())
                               if kind == "played" for note in data]
        for number in {0, 1, ids[-1] // 2, ids[-1], ids[-1] + 5}:
            assert rest(number) == played[number:], f"after {number} of {len(played)}"
    return f"{len(live)} messages with {len(played)} notes' beginnings and ends, resumed at any of them"


def l_readme(tests):
    """README's calls, as they are pasted into a shell, and its client."""
    serve = (ROOT / "README.md").read_text().split("## Serve\n")[1].split("\n## ")[0]
    calls = serve.split("```sh\n")[2].split("```")[0]
    client = serve.split("```py\n")[1].split("```")[0]
    place = tests.place / "readme"
    (place / "tests/data").mkdir(parents=True)
    (place / "tests/data/demo.mp4").symlink_to(DEMO)
    with tests.server() as server:
        here = lambda text: text.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{server.port}")
        said = subprocess.run(["bash", "-ec", here(calls)], cwd=place, check=True, capture_output=True).stdout
        subprocess.run([sys.executable, "-c", here(client)], cwd=place, check=True)
    assert json.loads(said)["state"] in ("queued", "running", "done")
    assert (place / "music.mid").read_bytes() == tests.films.composed(DEMO, [("takes", 4), ("seed", 1)])["mid"]
    assert (place / "scored.mp4").read_bytes() == tests.films.composed(DEMO, kinds=("mp4",))["mp4"]
    takes = tests.films.composed(DEMO, [("takes", 2)])
    assert [(place / f"take{take}.mid").read_bytes() for take in (1, 2)] == [takes["mid"], takes["2.mid"]]
    return f"{calls.count('curl ')} calls of curl and the client in Python"


class Tests:
    def __init__(self, folder, fuzz, place):
        self.vmt, self.fuzz, self.place = str((folder / "vmt").resolve()), fuzz, place
        self.films = Films(self.vmt, place / "films")

    def server(self, *options, **more):
        return Server(self.vmt, self.place, *options, **more)

    def file(self, name, data):
        path = self.place / name
        path.write_bytes(data)
        return path

    def must_fail(self, options, word, code=1):
        """It ends at once, and says why."""
        listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
        ended = subprocess.run([self.vmt, "serve", *listen, *map(str, options)], capture_output=True, text=True, timeout=LONGEST)
        assert ended.returncode == code and word in ended.stderr, f"{options}: {ended.returncode}, {ended.stderr}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--fuzz", type=int, default=2000)
    parser.add_argument("--only", default="abcdefghijkl")
    given = parser.parse_args()
    parts = [a_bytes, b_crowd, c_gone, d_killed, e_errors, f_fuzz, g_limits, h_triton, i_openapi, j_access, k_events, l_readme]
    failed = False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        os.chmod(place, 0o755)
        tests = Tests(given.folder, given.fuzz, pathlib.Path(place))
        for part in parts:
            if part.__name__[0] in given.only:
                began = time.monotonic()
                try:
                    print(f"server: {part.__name__[2:]}: {part(tests)} ({time.monotonic() - began:.1f} s)", flush=True)
                except Exception as error:  # The other parts are of use still.
                    failed = True
                    line = error.__traceback__
                    while line.tb_next and line.tb_next.tb_frame.f_code.co_filename == __file__:
                        line = line.tb_next
                    print(f"server: {part.__name__[2:]}: FAILED at line {line.tb_lineno}: {error!r}"[:3000], flush=True)
    sys.exit(failed)


main()
