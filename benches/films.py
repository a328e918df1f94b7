#!/usr/bin/env python3
"""How long whole films take, from the command to the file, on one thread; and four at once.

    films.py PROGRAM...

Each PROGRAM is a `vmt`, such as two versions, which take turns. Times are the best of some rounds.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

SECONDS = 12, 139, 600
ENGINES = "ort", "tract"
ROUNDS = 3
STAGES = re.compile(r"video ([\d.]+) s, encoder ([\d.]+) s, decoder ([\d.]+) s")
EVENTS = re.compile(r"music .* (\d+) events")


def start(program, film, engine, out):
    command = [program, "compose", film, "-o", out, "--engine", engine, "--threads", "1", "--seed", "1", "--verbose"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def compose(program, film, engine, out):
    """Seconds from start to end, then those of the stages, events, and MiB at most."""
    began = time.monotonic()
    process = start(program, film, engine, out)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    whole = time.monotonic() - began
    assert status == 0, said
    return whole, *map(float, STAGES.search(said).groups()), int(EVENTS.search(said)[1]), used.ru_maxrss / 1024


def together(program, film, place, count):
    """Seconds for so many films at once, on the first engine."""
    began = time.monotonic()
    for process in [start(program, film, ENGINES[0], place / f"{number}.mid") for number in range(count)]:
        said, _ = process.communicate()
        assert process.returncode == 0, said
    return time.monotonic() - began


def main(programs):
    if not programs:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        films = {seconds: place / f"{seconds}.mp4" for seconds in SECONDS}
        for seconds, film in films.items():
            source = f"testsrc2=size=640x360:rate=25:duration={seconds}"
            subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", film], check=True)
        print(f"{'film':>6} {'engine':8}{'seconds':>9}{'video':>8}{'encoder':>9}{'decoder':>9}{'events':>8}{'MiB':>6}  program")
        for seconds, film in films.items():
            rows = {(engine, program): [] for engine in ENGINES for program in programs}
            for _ in range(ROUNDS):
                for (engine, program), row in rows.items():
                    row.append(compose(program, film, engine, place / "music.mid"))
            for (engine, program), row in rows.items():
                whole, video, encoder, decoder, events, memory = min(row)
                times = f"{whole:9.2f}{video:8.2f}{encoder:9.2f}{decoder:9.2f}"
                print(f"{seconds:4} s {engine:8}{times}{events:8}{memory:6.0f}  {program}", flush=True)
        for program in programs:
            film = films[SECONDS[1]]
            one = [together(program, film, place, 1) for _ in range(4)]
            print(f"four films of {SECONDS[1]} s: one after the other {sum(one):.1f} s, at once {together(program, film, place, 4):.1f} s  {program}")


if __name__ == "__main__":
    main(sys.argv[1:])
