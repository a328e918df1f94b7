"""What the package does to the process that it is in: threads, signals, memory, output."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import vmt
from conftest import DEMO, TINY


def test_other_threads_run_meanwhile(composer: vmt.Composer) -> None:
    ticks, over = [0], threading.Event()

    def tick() -> None:
        while not over.wait(0.001):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    thread.start()
    began = time.monotonic()
    composer.compose(duration=20)
    took, heard = time.monotonic() - began, ticks[0]
    over.set()
    thread.join()
    # A thread that Python was kept from has one tick or two.
    assert heard > 20 * took, f"{heard} ticks in {took:.2f} s"


def interrupted(call: Callable[[], object]) -> float:
    """How long after Ctrl-C the call ends."""
    sent = [0.0]

    def send() -> None:
        sent[0] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            call()
            time.sleep(10)
            raise AssertionError("the call ended before")
        return time.monotonic() - sent[0]
    finally:
        timer.cancel()


def test_ctrl_c_stops_it(composer: vmt.Composer, tiny: vmt.Composer) -> None:
    stream = composer.stream(duration=3600)
    picture = np.zeros((1080, 1920, 3), np.uint8)
    for name, call in {
        "composing": lambda: composer.compose(duration=36000),
        "takes": lambda: composer.takes(8, duration=36000),
        "a film": lambda: tiny.compose([picture] * 100_000, fps=1000),
        "a stream": lambda: list(stream),
    }.items():
        assert interrupted(call) < 1, name
    # What was interrupted harms nothing: the next piece is as ever.
    assert composer.compose(duration=2).complete


def test_eight_threads_share_a_model(composer: vmt.Composer, pictures: npt.NDArray[np.uint8]) -> None:
    def compose(seed: int) -> bytes:
        return composer.compose(pictures, fps=10, seed=seed).midi()

    alone = [compose(seed) for seed in range(8)]
    assert len(set(alone)) == 8
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(compose, [*range(8), *range(8)])) == alone + alone


def test_threads_share_a_stream(tiny: vmt.Composer) -> None:
    """Each event goes to one of them."""
    stream = tiny.stream(duration=10)
    with ThreadPoolExecutor(4) as pool:
        events = [event for part in pool.map(lambda _: list(stream), range(4)) for event in part]
    assert len(events) == len(list(tiny.stream(duration=10)))


def memory() -> float:
    """Megabytes of resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def test_memory_stays(tiny: vmt.Composer) -> None:
    """The mean of the first pieces against that of the last; VMT_SOAK=1000 composes so many."""
    times = int(os.environ.get("VMT_SOAK", "60"))
    part = times // 10
    film = np.zeros((30, 90, 160, 3), np.uint8)
    film[15:] = 200
    used = []
    for seed in range(times):
        music, *_ = tiny.takes(2, film, fps=10, seed=seed)
        next(tiny.stream(film, fps=10))
        for render in (music.midi, music.musicxml, music.json, music.svg, music.png, music.piano_roll):
            assert render() is not None
        used.append(memory())
    # The first part of a short run warms up.
    before, after = np.mean(used[part : 2 * part]), np.mean(used[-part:])
    print(f"{times} compositions: {before:.1f} MB over the second tenth, {after:.1f} MB over the last")
    assert after < before + 5


QUIET = f"""
import signal
before = [signal.getsignal(number) for number in signal.valid_signals()]
import vmt
music = vmt.Composer({str(TINY)!r}, engine="tract").compose(duration=2)
music.wav()
try:
    vmt.Composer("none")
except FileNotFoundError:
    pass
assert before == [signal.getsignal(number) for number in signal.valid_signals()]
"""


def test_it_says_nothing_and_sets_no_handler() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_it_needs_ffmpeg_only_for_videos() -> None:
    needs = subprocess.run(["ldd", sys.modules["vmt._vmt"].__file__ or ""], capture_output=True, text=True, check=True).stdout
    assert ("libav" in needs) == ("video" in vmt.features)
    assert "libpython" not in needs and "onnxruntime" not in needs
    assert DEMO.exists()


@pytest.mark.parametrize(("given", "engine"), [({}, "ort"), ({"ORT_DYLIB_PATH": "/none"}, "tract")])
def test_onnxruntimes_package_has_an_engine(given: dict[str, str], engine: str) -> None:
    """Of a package that is not imported."""
    env = {name: value for name, value in os.environ.items() if name != "ORT_DYLIB_PATH"}
    say = f"import vmt, sys; print(vmt.Composer({str(TINY)!r}).engine, 'onnxruntime' in sys.modules)"
    command = [sys.executable, "-c", say]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env | given)
    assert (done.stdout, done.stderr) == (f"{engine} False\n", "")
