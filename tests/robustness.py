#!/usr/bin/env python3
"""Runs `vmt compose` many times over and under bad conditions, by hand: it takes minutes.

    robustness.py VMT soak [FILMS]    memory while a folder of short films (2000) is composed for
    robustness.py VMT kill [KILLS]    killed at random moments (200): no broken file, nothing left after the next run
    robustness.py VMT faults          full disk, limited file size, read-only folder, few file descriptors

VMT is the program, such as target/release/vmt. Exit code 1 if anything is wrong. `faults` mounts file systems where it
may (as root), and says what it could not try.
"""

import hashlib
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUNDLE = Path(__file__).resolve().parent.parent / "onnx/tiny-vmt"
KINDS = ["mid", "wav", "mp4", "mkv", "png", "svg", "musicxml", "mxl", "json"]
MODEL = ["--bundle", str(BUNDLE), "--engine", "tract", "--threads", "1"]
# A run that takes longer hangs.
LONGEST = 120

wrong = []


def check(right, what):
    """Notes what is wrong, and goes on."""
    if not right:
        wrong.append(what)
        print(f"WRONG: {what}", flush=True)


def clips(folder):
    """Four films of a second with sound."""
    made = []
    for number, (size, rate, codec) in enumerate(
        [("64x48", 10, "libx264"), ("80x60", 25, "libx264"), ("64x64", 30, "mpeg4"), ("48x96", 24, "libx264")]
    ):
        film = folder / f"clip{number}.mp4"
        picture, sound = f"testsrc2=s={size}:r={rate}:d=1", f"sine=d=1:f={220 + 50 * number}"
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
        codecs = ["-c:v", codec, "-pix_fmt", "yuv420p", "-c:a", "aac"]
        subprocess.run(["ffmpeg", "-v", "error", *inputs, *codecs, film], check=True)
        made.append(film)
    return made


def files(folder):
    """Every file that is not hidden, and what is in it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def hidden(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".vmt-")]


def soak(vmt, place, count):
    films, out = place / "films", place / "out"
    films.mkdir()
    made = clips(place)
    for number in range(count):
        os.link(made[number % len(made)], films / f"{number:05}.mp4")
    command = [vmt, "compose", films, "-o", out, "--format", "mid,wav,png,json", *MODEL]
    samples, began = [], time.monotonic()
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while run.poll() is None:
        time.sleep(0.1)
        status = Path(f"/proc/{run.pid}/status").read_text().splitlines()
        rss = [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")]
        samples.extend(rss)
    taken = time.monotonic() - began
    check(run.returncode == 0, f"exit code {run.returncode}")
    written = len(files(out))
    check(written == 4 * count, f"{written} files of {4 * count}")
    check(hidden(out) == [], f"left over: {hidden(out)}")
    tenth = max(1, len(samples) // 10)
    # The first tenth loads the model and fills the caches.
    first, median, last = (statistics.median(part) for part in (samples[tenth : 2 * tenth], samples, samples[-tenth:]))
    memory = f"{first:.1f} at first, median {median:.1f}, {last:.1f} at last, most {max(samples):.1f}"
    print(f"{count} films in {taken:.0f} s, RSS in MB: {memory} ({len(samples)} samples)")
    check(last <= 1.02 * first + 1, f"memory grows from {first:.1f} to {last:.1f} MB")


def kill(vmt, place, count):
    """Alternately the program alone, whose `ffmpeg` lives on, and both."""
    rng = random.Random(1)
    films, scratch = place / "films", place / "tmp"
    films.mkdir()
    scratch.mkdir()
    made = clips(place)
    for film in made[:2]:
        shutil.copy(film, films)
    film = made[0]
    record = place / "record.json"
    environment = {**os.environ, "TMPDIR": str(scratch)}

    def run(arguments):
        return subprocess.run([vmt, *arguments], env=environment, stdout=subprocess.DEVNULL, timeout=LONGEST)

    check(run(["compose", film, "-o", record, *MODEL]).returncode == 0, "the record cannot be written")
    inputs = {path: hashlib.sha256(path.read_bytes()).digest() for path in [*made, *films.iterdir(), record]}

    def all_kinds(out):
        return [argument for kind in KINDS for argument in ("-o", out / f"a.{kind}")]

    modes = {
        "film": lambda out: ["compose", film, *all_kinds(out), "--thumbnails", "--takes", "2", "--keep-takes", *MODEL],
        "part": lambda out: ["compose", film, "--start", "0.3", "-o", out / "a.mp4", "-o", out / "a.wav", *MODEL],
        "folder": lambda out: ["compose", films, "-o", out, "--format", ",".join(KINDS), *MODEL],
        "record": lambda out: ["compose", "--from", record, *all_kinds(out)],
    }
    expected, lasts = {}, {}
    for mode, arguments in modes.items():
        for name in ["once", "twice"]:
            out = place / f"{mode}-{name}"
            out.mkdir()
            began = time.monotonic()
            check(run(arguments(out)).returncode == 0, f"{mode} fails undisturbed")
            lasts[mode] = time.monotonic() - began
            check(expected.setdefault(mode, files(out)) == files(out), f"{mode} writes other bytes the second time")
    print("seconds undisturbed:", ", ".join(f"{mode} {seconds:.2f}" for mode, seconds in lasts.items()))

    killed, left = 0, 0
    outs = {mode: place / f"{mode}-killed" for mode in modes}
    for number in range(count):
        mode = list(modes)[number % len(modes)]
        out, want = outs[mode], expected[mode]
        # At first nothing is there, later what an earlier program wrote; a folder's old files would be skipped.
        if number % 20 < len(modes):
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
        old = {} if mode == "folder" or number % 20 < 8 else {name: f"old {name}".encode() for name in want}
        for name, content in old.items():
            (out / name).write_bytes(content)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([vmt, *modes[mode](out)], env=environment, start_new_session=True, **quiet)
        time.sleep(rng.uniform(0, lasts[mode]))
        killed += process.poll() is None
        if number // len(modes) % 2:
            process.kill()
        else:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        left += hidden(out) != []
        for name, content in files(out).items():
            whole = content in (want.get(name), old.get(name))
            check(whole, f"kill {number} ({mode}): {name} is neither whole nor the old one")
        missing = old.keys() - files(out).keys()
        check(not missing, f"kill {number} ({mode}): lost {missing}")
        if number // len(modes) % 5 == 4 or number >= count - len(modes):
            if mode == "folder":
                check(set(files(out)) <= set(want), f"kill {number}: unknown files {set(files(out)) - set(want)}")
            check(run(modes[mode](out)).returncode == 0, f"after kill {number}, {mode} fails")
            check(files(out) == want, f"after kill {number}, {mode} does not finish")
            check(hidden(out) == [], f"after kill {number}, {mode} leaves {hidden(out)}")
    check(killed > count // 2, "most runs ended before they were killed")
    for path, digest in inputs.items():
        check(hashlib.sha256(path.read_bytes()).digest() == digest, f"{path.name} was changed")
    leavings = sorted(path.name for path in scratch.iterdir())
    check(not leavings, f"left over in TMPDIR: {leavings}")
    print(f"{killed} of {count} runs were killed at work, {left} of them left a hidden folder to the next run")


def faults(vmt, place):
    film = clips(place)[0]
    record = place / "record.json"
    whole = place / "whole"
    whole.mkdir()

    def arguments(out):
        return ["compose", film, *(a for kind in KINDS for a in ("-o", out / f"a.{kind}")), "--thumbnails", *MODEL]

    subprocess.run([vmt, *arguments(whole)], check=True, stdout=subprocess.DEVNULL)
    want = files(whole)
    shutil.copy(whole / "a.json", record)
    modes = {"film": arguments, "record": lambda out: ["compose", "--from", record, *arguments(out)[2:-len(MODEL)]]}
    modes |= {"doctor": lambda out: ["doctor"], "ids": lambda out: ["tokens", "encode", whole / "a.mid"]}
    codes = {}

    def attempt(name, out, mode, before=None, signals=(), must_fail=False):
        """One run. Python ignores SIGXFSZ, and gives its children the default back unless told otherwise."""
        try:
            run = subprocess.run(
                [vmt, *modes[mode](out)], preexec_fn=before, restore_signals=bool(signals), timeout=LONGEST,
                capture_output=True, text=True, errors="replace", env={**os.environ, "RUST_BACKTRACE": "0"},
            )
        except subprocess.TimeoutExpired:
            check(False, f"{name}, {mode}: hangs")
            return
        code, lines = run.returncode, run.stderr.strip().splitlines()
        codes.setdefault(name.split(" ")[0], []).append(code)
        said = " | ".join(lines)[:400]
        if -code not in signals:
            check(code in ([1, 2] if must_fail else [0, 1, 2]), f"{name}, {mode}: exit code {code}: {said}")
            check(code == 0 or len(lines) == 1, f"{name}, {mode}: {len(lines)} lines: {said}")
            check("panicked" not in run.stderr, f"{name}, {mode}: panics: {said}")
            check(not out.is_dir() or hidden(out) == [], f"{name}, {mode}: leaves {out.is_dir() and hidden(out)}")
        if not out.is_dir():
            return
        got = files(out)
        broken = [name for name, content in got.items() if content != want[name]]
        check(not broken, f"{name}, {mode}: {broken} broken after exit code {code}: {said}")
        if code == 0 and mode in ("film", "record"):
            check(got == want, f"{name}, {mode}: exit code 0, but only {sorted(got)}: {said}")
        for path in out.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)

    def limit(what, value):
        return lambda: resource.setrlimit(what, (value, value))

    out = place / "out"
    out.mkdir()
    most = max(map(len, want.values()))
    total = sum(map(len, want.values()))

    for mode in ["film", "record"]:
        sizes = {0, 1, 100, 4096, *(len(content) - 1 for content in want.values()), most // 2, 2 * most}
        for size in sorted(sizes):
            # With SIGXFSZ ignored, writing fails; else the system ends the program, and the next run cleans up.
            attempt(f"file-size {size}", out, mode, limit(resource.RLIMIT_FSIZE, size))
            attempt(f"file-size {size}", out, mode, limit(resource.RLIMIT_FSIZE, size), signals=[signal.SIGXFSZ])
    for mode in modes:
        # The system's loader needs a fourth for the libraries.
        for descriptors in range(4, 48):
            attempt(f"descriptors {descriptors}", out, mode, limit(resource.RLIMIT_NOFILE, descriptors))

    mounted = place / "mounted"
    mounted.mkdir()
    pages = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, *(total * part // 8 // 4096 for part in range(1, 24))}
    for size in sorted(4096 * count for count in pages):
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mounted]
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
            print("not tried: a full disk (no right to mount)")
            break
        try:
            for mode in ["film", "record"]:
                attempt(f"full-disk {size}", mounted, mode)
        finally:
            subprocess.run(["umount", "-l", mounted], check=True)

    nobody = limit_user(place) if os.getuid() == 0 else None
    out.chmod(0o555)
    attempt("read-only folder", out, "film", nobody, must_fail=True)
    attempt("read-only folder", out, "record", nobody, must_fail=True)
    out.chmod(0o755)
    bind = subprocess.run(["mount", "--bind", "-o", "ro", out, mounted], stderr=subprocess.DEVNULL)
    if bind.returncode == 0:
        attempt("read-only mount", mounted, "film", must_fail=True)
        attempt("read-only mount", mounted, "record", must_fail=True)
        subprocess.run(["umount", "-l", mounted], check=True)
    else:
        print("not tried: a read-only mount (no right to mount)")
    attempt("missing folder", place / "missing", "film", must_fail=True)
    for name, got in codes.items():
        print(f"{name}: {len(got)} runs, " + ", ".join(f"exit {code}: {got.count(code)}" for code in sorted(set(got))))


def limit_user(place):
    """Another user, whom permissions hold; `place` is readable."""
    place.chmod(0o755)

    def change():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    return change


def main():
    if len(sys.argv) < 3 or sys.argv[2] not in ("soak", "kill", "faults"):
        sys.exit(__doc__)
    vmt, what = str(Path(sys.argv[1]).resolve()), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else {"soak": 2000, "kill": 200}.get(what)
    with tempfile.TemporaryDirectory() as place:
        run = {"soak": soak, "kill": kill, "faults": faults}[what]
        run(vmt, Path(place), *([count] if what != "faults" else []))
    sys.exit(1 if wrong else 0)


main()
