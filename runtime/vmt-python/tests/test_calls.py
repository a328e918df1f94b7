"""Wrong calls, and what is said of them."""

import re
from pathlib import Path

import numpy as np
import pytest

import vmt
from conftest import DEMO, ROOT, TINY

GREY = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("option", "value", "error", "said"),
    [
        ("seed", -1, ValueError, "seed must be a whole number, 0-18446744073709551615, but is -1"),
        ("seed", 1.5, TypeError, "seed must be a whole number, 0-18446744073709551615, but is 1.5"),
        ("temperature", -1, ValueError, "temperature must be within 0-100, but is -1"),
        ("temperature", "hot", TypeError, "temperature must be a number, but is 'hot'"),
        ("top_p", 0, ValueError, "top_p must be above 0 and at most 1, but is 0"),
        ("top_k", 311, ValueError, "top_k must be a whole number, 1-310, but is 311"),
        ("guidance", 11, ValueError, "guidance must be within 0-10, but is 11"),
        ("tempo", "fast", ValueError, "tempo must be \"auto\", beats a minute or \"off\", but is 'fast'"),
        ("tempo", 5, ValueError, "tempo must be 20-400 beats a minute, but is 5"),
        ("meter", "5/4", ValueError, "meter must be 4/4 or 3/4, but is 5/4"),
        ("key", "H", ValueError, "scale must be a key (C, F#, Bb, ...) and major"),
        ("scale", "minor", ValueError, 'scale needs a tonic, such as key="C"'),
        ("hit", -1, ValueError, "hit must be seconds within a day, but is -1"),
        ("hit", [99], ValueError, "hit must be at most the film's end, but is at 99s"),
        ("hits", "none.txt", FileNotFoundError, "[Errno 2] No such file or directory: 'none.txt'"),
        ("hits", ROOT / "Cargo.toml", ValueError, "Cargo.toml: markers, line 1: must be"),
        ("intensity", "loud", ValueError, 'intensity must be "auto", "off" or points'),
        ("intensity", [(0, 2)], ValueError, "intensity must be seconds, 0-86400, and a value, 0-1, but is 0 and 2"),
        ("intensity", [(1, 0), (1, 1)], ValueError, "intensity must be in rising order of time, but is 1 behind 1"),
        ("intensity", [], ValueError, "intensity must be points of seconds and a value, but is none"),
        ("intensity_guidance", -1, ValueError, "intensity guidance must be within 0-10, but is -1"),
        ("pitch_range", (50, 40), ValueError, "pitch range must be within 21-108 (A0-C8), the lower first"),
        ("pitch_range", 50, TypeError, "pitch_range must be (LOW, HIGH): 21-108 or A0-C8, but is 50"),
        ("velocity_range", (0, 300), ValueError, "velocity_range must be (LOW, HIGH) within 1-127"),
        ("max_polyphony", 0, ValueError, "max_polyphony must be a whole number, 1-88, but is 0"),
        ("density", 101, ValueError, "density must be above 0 and at most 100 notes a second, but is 101"),
        ("quantize", "no", TypeError, "quantize must be True or False, but is 'no'"),
        ("primer", ROOT / "Cargo.toml", ValueError, "Cargo.toml: not a readable MIDI file"),
        ("snap", True, ValueError, "snap: needs steady beats, a tempo in beats a minute without hit and hits"),
        ("start", 1, ValueError, "start and end are for files"),
        ("start", -1, ValueError, "start must be seconds, from 0 on and below 3600000, but is -1"),
        ("end", 0, ValueError, "start must be before end, but 0 is not before 0"),
        ("temprature", 1, TypeError, "there is no option temprature; there are seed, temperature, top_p"),
    ],
)
def test_options(option: str, value: object, error: type[Exception], said: str, composer: vmt.Composer) -> None:
    with pytest.raises(error, match=re.escape(said)):
        composer.compose(GREY, fps=1, **{option: value})  # type: ignore[arg-type]


def test_none_is_the_default(tiny: vmt.Composer) -> None:
    assert tiny.compose(GREY, fps=1, seed=None, top_k=None, hit=None).midi() == tiny.compose(GREY, fps=1).midi()


def test_options_are_checked_before_the_film(tiny: vmt.Composer) -> None:
    def film() -> object:
        raise AssertionError("the film was read")
        yield GREY[0]

    with pytest.raises(ValueError, match="temperature"):
        tiny.compose(film(), fps=1, temperature=-1)  # type: ignore[arg-type]


@pytest.mark.parametrize("option", [{"tempo": "auto"}, {"meter": "4/4"}, {"key": "auto"}, {"intensity": [(0, 1)]}])
def test_a_model_without_conditions_is_told_none(option: dict[str, object], tiny: vmt.Composer) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=f"{name}: this model is told no beats"):
        tiny.compose(GREY, fps=1, **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("film", "timing", "error", "said"),
    [
        (None, {}, ValueError, "without a film, duration must be its seconds, above 0"),
        (None, {"duration": 0}, ValueError, "without a film, duration must be its seconds, above 0"),
        (None, {"duration": float("nan")}, ValueError, "duration must be seconds, not negative, but is NaN"),
        (None, {"duration": 3, "fps": 3}, ValueError, "without a film"),
        (5, {"fps": 1}, TypeError, "film must be a path, an array [frames, height, width, 3] or an iterable"),
        (GREY, {}, ValueError, "pictures need either fps or times"),
        (GREY, {"fps": 1, "times": [0, 1]}, ValueError, "pictures need either fps or times"),
        (GREY, {"fps": 0}, ValueError, "fps must be 0.001-1000, but is 0"),
        (GREY, {"fps": 1, "duration": 2}, ValueError, "duration goes with times"),
        (GREY, {"times": [1, 0]}, ValueError, "times must rise, but 0ns follows 1s"),
        (GREY, {"times": [0]}, ValueError, "duration must be the film's seconds, beyond the last of the times"),
        (GREY, {"times": [0], "duration": 5}, ValueError, "times must be one for each picture, but are 1, and there are more"),
        (GREY, {"times": [0, 1, 2]}, ValueError, "times must be one for each picture, but are 3, and there are fewer"),
        (GREY, {"times": [0, 1], "duration": 1}, ValueError, "duration must be the film's seconds, beyond the last"),
        (GREY[:0], {"fps": 1}, ValueError, "a film must have a picture, but has none"),
        (GREY / 2, {"fps": 1}, ValueError, "picture 0 must be uint8 [height, width, 3], but is float64 (4, 4, 3)"),
        (GREY[0], {"fps": 1}, ValueError, "picture 0 must be uint8 [height, width, 3], but is uint8 [4, 3]"),
        (GREY[:, :, :, :2], {"fps": 1}, ValueError, "picture 0 must be uint8 [height, width, 3], but is uint8 [4, 4, 2]"),
        (GREY[:, :0], {"fps": 1}, ValueError, "size of a picture must be 1-16384 columns and rows, but is 4 x 0"),
        (["a"], {"fps": 1}, ValueError, "picture 0 must be uint8 [height, width, 3], but is <U1 ()"),
    ],
)
def test_films(
    film: object, timing: dict[str, object], error: type[Exception], said: str, tiny: vmt.Composer
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        tiny.compose(film, **timing)  # type: ignore[arg-type]


def test_files(tiny: vmt.Composer, tmp_path: Path) -> None:
    if "video" not in vmt.features:
        with pytest.raises(vmt.Error, match="demo.mp4: this package was built without FFmpeg, so a film must be an array"):
            tiny.compose(DEMO)
        return
    with pytest.raises(FileNotFoundError, match="No such file or directory: 'none.mp4'"):
        tiny.compose("none.mp4")
    with pytest.raises(OSError, match="is a directory"):
        tiny.compose(tmp_path)
    with pytest.raises(vmt.Error, match="Cargo.toml: must be a video that FFmpeg can read, but it has no video stream"):
        tiny.compose(str(ROOT / "Cargo.toml"))
    with pytest.raises(ValueError, match="times, fps and duration are for pictures: a file has its own"):
        tiny.compose(DEMO, fps=25)


def test_what_an_iterator_raises_is_raised(tiny: vmt.Composer) -> None:
    def film() -> object:
        yield GREY[0]
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        tiny.compose(film(), fps=1)  # type: ignore[arg-type]


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="manifest.yaml"):
        vmt.Composer(tmp_path)
    with pytest.raises(ValueError, match="engine must be auto, tract, ort or cuda, but is onnx"):
        vmt.Composer(TINY, engine="onnx")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"threads must be 1-\d+, but is 0"):
        vmt.Composer(TINY, threads=0)
    # Built with the whole workspace, it has what the command has.
    with pytest.raises(vmt.Error, match="cuda: (not in this program|.* is built without CUDA)"):
        vmt.Composer(TINY, engine="cuda")
    for name in ["manifest.yaml", "encoder.onnx", "decoder.onnx"]:
        (tmp_path / name).write_bytes((TINY / name).read_bytes())
    (tmp_path / "decoder.onnx").write_bytes(b"damaged")
    with pytest.raises(vmt.Error, match="SHA-256 must be"):
        vmt.Composer(tmp_path)
    assert issubclass(vmt.Error, Exception) and not issubclass(vmt.Error, ValueError | OSError)


@pytest.mark.parametrize("n", [0, 1025])
def test_takes(n: int, tiny: vmt.Composer) -> None:
    with pytest.raises(ValueError, match=f"the number of takes must be 1-1024, but is {n}"):
        tiny.takes(n, GREY, fps=1)


@pytest.mark.parametrize("fs", [0, -1, float("nan"), float("inf"), 1e9])
def test_piano_roll(fs: float, composer: vmt.Composer) -> None:
    with pytest.raises(ValueError, match="fs must be columns a second, above 0"):
        composer.compose(duration=3).piano_roll(fs)


def test_pretty_midi_is_asked_for(tiny: vmt.Composer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pretty_midi", None)
    with pytest.raises(ImportError, match="to_pretty_midi needs pretty_midi: pip install pretty_midi"):
        tiny.compose(duration=1).to_pretty_midi()
