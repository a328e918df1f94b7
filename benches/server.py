#!/usr/bin/env python3
"""How `vmt serve` bears many clients for long: every answer must be the command line's, byte for byte.

    server.py RELEASE_FOLDER [SECONDS=600] [CLIENTS=32]
"""

import collections
import http.client
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

FILMS = {
    "a.mp4": "testsrc2=size=320x180:rate=25:duration=5", "b.mkv": "color=red:size=96x96:rate=12:duration=4",
    "c.avi": "testsrc2=size=176x144:rate=30:duration=3", "d.mp4": "testsrc2=size=640x360:rate=24:duration=12",
}
OPTIONS = ["seed=1", "seed=2&takes=3", "seed=3&tempo=110&key=D&scale=dorian", "seed=4&hit=2&density=4"]
KINDS = {"mid": "audio/midi", "musicxml": "application/vnd.recordare.musicxml+xml", "svg": "image/svg+xml"}


def prepare(vmt, place):
    """(film, query, Accept, answer) of all cases."""
    for name, source in FILMS.items():
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", place / name], check=True)
        for query in OPTIONS:
            outputs = [f"-o{place}/music.{kind}" for kind in KINDS]
            options = ["--" + option for option in query.split("&")]
            subprocess.run([vmt, "compose", place / name, "--quiet", *options, *outputs], check=True)
            for kind, media in KINDS.items():
                yield (place / name).read_bytes(), query, media, (place / f"music.{kind}").read_bytes()


def status(process, name):
    return int(re.search(rf"{name}:\s+(\d+)", pathlib.Path(f"/proc/{process}/status").read_text())[1])


def children(process):
    return sum(len(task.read_text().split()) for task in pathlib.Path(f"/proc/{process}/task").glob("*/children"))


def start(vmt, place):
    """The process and its port."""
    errors = place / "errors"
    command = [vmt, "serve", "--listen", "127.0.0.1:0", "--log", "off", "--per-client", "24"]
    with errors.open("wb") as said:
        process = subprocess.Popen(command, stderr=said)
    while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", errors.read_text())):
        assert process.poll() is None, errors.read_text()
        time.sleep(0.05)
    return process, int(found[1])


class Load:
    def __init__(self, port, cases, end):
        self.port, self.cases, self.end = port, cases, end
        self.counts, self.latencies, self.lock = collections.Counter(), [], threading.Lock()

    def call(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def client(self, number):
        chance = random.Random(number)
        while time.monotonic() < self.end:
            film, query, media, want = chance.choice(self.cases)
            began = time.monotonic()
            try:
                code, headers, got = self.call("POST", "/v1/compose?" + query, film, {"Accept": media, "Prefer": "wait=100"})
            except OSError as error:
                code, got = repr(error), b""
            took = time.monotonic() - began
            what = "refused" if code in (429, 503) else "right" if code == 200 and got == want else "wrong"
            with self.lock:
                self.counts[what] += 1
                if what == "wrong":
                    print(f"wrong: {query}, {media}: {code}, {len(got)} bytes instead of {len(want)}", file=sys.stderr)
                if what == "right":
                    self.latencies.append(took)
            if what == "refused":
                time.sleep(min(int(headers["Retry-After"]), 5))

    def events(self):
        return int(re.search(r"^vmt_events_total (\d+)", self.call("GET", "/metrics")[2].decode(), re.M)[1])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    vmt = str(pathlib.Path(sys.argv[1]).resolve() / "vmt")
    seconds, clients = [int(value) for value in (sys.argv[2:] + ["600", "32"][len(sys.argv) - 2:])]
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        cases = list(prepare(vmt, place))
        process, port = start(vmt, place)
        try:
            began = time.monotonic()
            load = Load(port, cases, began + seconds)
            while load.call("GET", "/health/ready")[0] != 200:
                time.sleep(0.1)
            threads = [threading.Thread(target=load.client, args=[number]) for number in range(clients)]
            for thread in threads:
                thread.start()
            memory, most = [], 0
            while time.monotonic() < load.end:
                memory.append(status(process.pid, "VmRSS") >> 10)
                most = max(most, children(process.pid))
                time.sleep(0.5)
            for thread in threads:
                thread.join()
            took = time.monotonic() - began
            rate = load.events() / took
        finally:
            process.kill()
            process.wait()
    cuts = statistics.quantiles(load.latencies, n=20)
    # Memory is looked at twice a second.
    first = memory[min(120, len(memory) // 4)]
    rows = {
        "requests": sum(load.counts.values()), "right": load.counts["right"], "refused (429, 503)": load.counts["refused"],
        "wrong": load.counts["wrong"], "latency p50, s": f"{statistics.median(load.latencies):.2f}", "latency p95, s": f"{cuts[18]:.2f}",
        "latency max, s": f"{max(load.latencies):.2f}", "events a second": f"{rate:.0f}",
        "memory after 1 min, MiB": first, "memory in the middle, MiB": memory[len(memory) // 2], "memory at the end, MiB": memory[-1],
        "child processes at most": most,
    }
    print(f"| {clients} clients, {took:.0f} s | |\n|---|---:|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    sys.exit(load.counts["wrong"] > 0)


main()
