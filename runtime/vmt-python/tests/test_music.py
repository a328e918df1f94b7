"""What is composed, and what it can become."""

import io
import itertools
import json
import struct
import wave
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pretty_midi
import pytest

import vmt
from conftest import DEMO, TINY

Pictures = npt.NDArray[np.uint8]
Program = Callable[..., list[bytes]]


def png(picture: Pictures) -> bytes:
    """A picture as a file, without a library for it."""
    height, width, _ = picture.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.fixture(scope="session")
def folder(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures as files, for the program."""
    folder = tmp_path_factory.mktemp("frames")
    for index, picture in enumerate(pictures):
        (folder / f"{index}.png").write_bytes(png(picture))
    return folder


@pytest.mark.skipif("video" not in vmt.features, reason="test_calls.py says what a package without FFmpeg does instead")
@pytest.mark.parametrize("engine", ["tract", "ort"])
def test_a_file_has_the_programs_music(engine: Literal["tract", "ort"], program: Program) -> None:
    music = vmt.Composer(engine=engine).compose(DEMO, seed=3)
    texts = [text.encode() for text in (music.musicxml(), music.json(), music.svg())]
    theirs = program(
        DEMO, "--engine", engine, "--seed", 3, kinds=["mid", "wav", "png", "musicxml", "json", "svg"]
    )
    assert [music.midi(), music.wav(), music.png(), *texts] == theirs
    assert (music.duration, music.complete, music.take) == (12, True, 0)


@pytest.mark.skipif("video" not in vmt.features, reason="pictures have no parts")
def test_a_part_of_a_file(composer: vmt.Composer, tmp_path: Path, program: Program) -> None:
    markers = tmp_path / "list.txt"
    markers.write_text("1\n3.5\n9\n")
    args = "--engine tract --start 2.5 --end 8 --hits".split()
    music = composer.compose(DEMO, start=2.5, end=8, hits=markers)
    assert music.duration == 5.5
    assert [music.midi(), music.json().encode()] == program(DEMO, *args, markers, kinds=["mid", "json"])
    with pytest.raises(ValueError, match="must have a frame from start on, but ends before 12.5 s"):
        composer.compose(DEMO, start=12.5, hit=None, tempo="off", intensity="off")


@pytest.mark.parametrize(
    ("options", "args"),
    [
        ({}, []),
        ({"seed": 7, "temperature": 0.8, "top_p": 1, "top_k": 40}, "--seed 7 --temperature 0.8 --top-p 1 --top-k 40"),
        ({"tempo": 90, "meter": "3/4"}, "--tempo 90 --meter 3/4"),
        ({"tempo": "off", "intensity": "off"}, "--tempo off --intensity off"),
        ({"key": "F#", "scale": "minor"}, "--key F# --scale minor"),
        ({"key": "off", "quantize": False}, "--key off --no-quantize"),
        ({"hit": [1.5, 4], "hits": "LIST"}, "--hit 1.5 --hit 4 --hits LIST"),
        ({"hit": 2.5, "tempo": "off"}, "--hit 2.5 --tempo off"),
        ({"intensity": [(0, 0.1), (5, 0.9)]}, "--intensity 0:0.1,5:0.9"),
        ({"intensity": np.array([[0, 0.1]]), "intensity_guidance": 2}, "--intensity 0:0.1 --intensity-guidance 2"),
        ({"pitch_range": ("C3", 72), "velocity_range": (20, 60)}, "--pitch-range C3-72 --velocity-range 20-60"),
        ({"max_polyphony": 2, "density": 4, "guidance": 2}, "--max-polyphony 2 --density 4 --guidance 2"),
        ({"unconstrained": True}, "--unconstrained"),
        ({"primer": "PRIMER"}, "--primer PRIMER"),
        ({"hit": 2.5, "strike_hits": False}, "--hit 2.5 --no-strike-hits"),
        ({"snap": True, "tempo": 100}, "--snap --tempo 100"),
    ],
)
def test_an_array_has_the_music_of_a_folder_of_pictures(
    options: dict[str, object],
    args: str,
    composer: vmt.Composer,
    pictures: Pictures,
    folder: Path,
    tmp_path: Path,
    program: Program,
) -> None:
    places = {"LIST": tmp_path / "list.txt", "PRIMER": tmp_path / "primer.mid"}
    places["LIST"].write_text("3.25 the door\n5\n")
    places["PRIMER"].write_bytes(composer.compose(duration=4, seed=1).midi())
    options = {name: places.get(str(value), value) for name, value in options.items()}
    words = [str(places.get(word, word)) for word in (args.split() if isinstance(args, str) else args)]
    music = composer.compose(pictures, fps=10, **options)  # type: ignore[arg-type]
    assert [music.midi()] == program("--frames", folder, "--fps", 10, "--engine", "tract", *words, kinds=["mid"])


def test_a_model_without_conditions_and_takes_have_the_programs_music(
    tiny: vmt.Composer, composer: vmt.Composer, pictures: Pictures, folder: Path, program: Program
) -> None:
    call = ["--frames", folder, "--fps", 10, "--engine", "tract", "--seed", 5]
    music = tiny.compose(pictures, fps=10, seed=5, hit=1, tempo=100)
    assert [music.midi()] == program(*call, "--bundle", TINY, "--hit", 1, "--tempo", 100, kinds=["mid"])
    best, *_ = composer.takes(3, pictures, fps=10, seed=5)
    assert [best.midi()] == program(*call, "--takes", 3, kinds=["mid"])


def test_hits_are_a_list_too(composer: vmt.Composer, pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("3.25 the door\n5\n")
    of_file = composer.compose(pictures, fps=10, hits=tmp_path / "list.txt")
    assert composer.compose(pictures, fps=10, hits=[(3.25, "the door"), 5]).midi() == of_file.midi()
    assert b"the door" in of_file.midi()


def test_every_kind_of_pictures_is_the_same_film(
    composer: vmt.Composer, pictures: Pictures, film: Iterator[Pictures]
) -> None:
    want = composer.compose(pictures, fps=10).midi()
    times = np.arange(60) / 10
    # Rows that are not beside each other, and what only NumPy reads.
    turned = np.asfortranarray(pictures)
    wide = np.repeat(pictures, 2, axis=2)[:, :, ::2]
    lists = [picture.tolist() for picture in pictures]
    assert composer.compose(film, fps=10).midi() == want
    assert composer.compose(turned, fps=10).midi() == want
    assert composer.compose(wide, times=times).midi() == want
    assert composer.compose((picture for picture in pictures), times=times, duration=6).midi() == want
    assert composer.compose([np.array(rows, np.uint8) for rows in lists], fps=10).midi() == want
    assert composer.compose(pictures, times=times, duration=8).duration == 8
    assert composer.compose(pictures[:1], times=[0], duration=3).duration == 3


def test_memory_does_not_grow_with_a_film() -> None:
    """A gigabyte of pictures passes through."""
    tiny = vmt.Composer(TINY, engine="tract")
    picture = np.zeros((1080, 1920, 3), np.uint8)
    before = peak()
    music = tiny.compose(itertools.repeat(picture, 160), fps=50, temperature=0)
    assert music.duration == pytest.approx(3.2)
    assert peak() - before < 100e6


def peak() -> float:
    """Bytes of memory, at most so far."""
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(status.split("VmHWM:")[1].split()[0])


def test_music_without_a_film(composer: vmt.Composer) -> None:
    music = composer.compose(duration=5.5)
    assert (music.duration, music.complete) == (5.5, True)
    assert len(music.notes) > 3


def test_takes_are_ranked(composer: vmt.Composer, pictures: Pictures) -> None:
    takes = composer.takes(4, pictures, fps=10)
    ranks = [take.rank for take in takes]
    assert ranks == sorted(ranks, reverse=True)
    assert sorted(take.take for take in takes) == [0, 1, 2, 3]
    first = next(take for take in takes if take.take == 0)
    assert first.midi() == composer.compose(pictures, fps=10).midi()
    assert [take.record()["provenance"]["take"] for take in takes] == [take.take for take in takes]


def test_a_stream_plays_the_music(composer: vmt.Composer, pictures: Pictures) -> None:
    stream = composer.stream(pictures, fps=10, seed=2)
    events = list(stream)
    music = stream.finish()
    assert music.midi() == composer.compose(pictures, fps=10, seed=2).midi()
    assert [event.value for event in events if event.kind == "note_on"] == music.notes["pitch"].tolist()
    assert [event.time for event in events if event.kind == "note_on"] == music.notes["start"].tolist()
    assert list(stream) == [] and stream.finish().midi() == music.midi()
    assert events[0] == next(composer.stream(pictures, fps=10, seed=2))


def test_a_stream_is_stopped(composer: vmt.Composer, pictures: Pictures) -> None:
    stream = composer.stream(pictures, fps=10)
    last = next(event for event in stream if event.time > 2)
    music = stream.finish()
    assert not music.complete and "stopped" in repr(music)
    assert 2 < music.duration <= last.time + 0.1
    assert list(stream) == []


def test_notes(composer: vmt.Composer) -> None:
    music = composer.compose(duration=8, seed=5)
    notes = music.notes
    assert notes.dtype == np.dtype([("start", "f8"), ("end", "f8"), ("pitch", "u1"), ("velocity", "u1")])
    assert (notes["start"] < notes["end"]).all() and (np.diff(notes["start"]) >= 0).all()
    assert ((notes["pitch"] >= 21) & (notes["pitch"] <= 108)).all()
    record = music.record()
    assert [note["pitch"] for note in record["notes"]] == notes["pitch"].tolist()
    assert record == json.loads(music.json())


@pytest.mark.parametrize("tempo", ["auto", "off", 97.3])
@pytest.mark.parametrize("fs", [100, 10, 43.07, 1000])
def test_the_piano_roll_is_pretty_midis(
    tempo: str | float, fs: float, composer: vmt.Composer, pictures: Pictures
) -> None:
    music = composer.compose(pictures, fps=10, tempo=tempo, seed=4)  # type: ignore[arg-type]
    pretty = music.to_pretty_midi()
    (piano,) = pretty.instruments
    ours = music.notes
    theirs = np.array([(note.start, note.end, note.pitch, note.velocity) for note in piano.notes], ours.dtype)
    theirs.sort(order=["start", "pitch"])
    ours.sort(order=["start", "pitch"])
    assert len(ours) == len(theirs) > 5 and (ours["pitch"] == theirs["pitch"]).all()
    # In MIDI, notes are where the beats have them, not on the grid of 10 ms.
    assert abs(ours["start"] - theirs["start"]).max() < 0.0051
    # pretty_midi rounds down what floating point missed: 1.1399999999 s is in its column 113, and in ours 114.
    for note in piano.notes:
        note.start, note.end = note.start + 1e-8, note.end + 1e-8
    roll = music.piano_roll(fs)
    assert roll.dtype == np.float64 and roll.max() > 0
    np.testing.assert_array_equal(roll, pretty.get_piano_roll(fs))


def test_an_empty_piano_roll(composer: vmt.Composer) -> None:
    assert composer.compose(duration=0.02).piano_roll().shape == (128, 0)


def test_wav(tiny: vmt.Composer) -> None:
    with wave.open(io.BytesIO(tiny.compose(duration=1.5).wav())) as sound:
        assert sound.getparams()[:4] == (2, 2, 48000, 72000)


def test_files(tiny: vmt.Composer, tmp_path: Path) -> None:
    music = tiny.compose(duration=1.5)
    for kind, want in [
        ("mid", music.midi()),
        ("midi", music.midi()),
        ("wav", music.wav()),
        ("musicxml", music.musicxml().encode()),
        ("xml", music.musicxml().encode()),
        ("svg", music.svg().encode()),
        ("png", music.png()),
        ("json", music.json().encode()),
        ("MID", music.midi()),
    ]:
        path = tmp_path / f"music.{kind}"
        music.save(path)
        assert path.read_bytes() == want, kind
    music.save(str(tmp_path / "music.mxl"))
    assert (tmp_path / "music.mxl").read_bytes().startswith(b"PK")
    assert len(list(tmp_path.iterdir())) == 10, "nothing else is left"


def test_a_file_is_not_replaced_unasked(tiny: vmt.Composer, tmp_path: Path) -> None:
    music, path = tiny.compose(duration=1.5), tmp_path / "music.mid"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="music.mid: exists; overwrite=True"):
        music.save(path)
    assert path.read_text() == "mine"
    music.save(path, overwrite=True)
    assert path.read_bytes() == music.midi()
    for place, error in [("none/music.mid", FileNotFoundError), ("music.mp3", ValueError), ("music", ValueError)]:
        with pytest.raises(error):
            music.save(tmp_path / place)
    with pytest.raises(ValueError, match=r"soundfont is for \.wav"):
        music.save(tmp_path / "b.mid", soundfont=path)
    with pytest.raises(vmt.Error, match="must be a soundfont"):
        music.wav(path)


@pytest.mark.skipif("video" not in vmt.features, reason="there is no film that music could replace")
def test_the_film_is_not_replaced(tiny: vmt.Composer, tmp_path: Path) -> None:
    film = tmp_path / "film.wav"
    film.write_bytes(DEMO.read_bytes())
    with pytest.raises(ValueError, match="is the film, which must stay"):
        tiny.compose(film).save(film, overwrite=True)


def test_a_notebook_shows_and_plays_it(tiny: vmt.Composer) -> None:
    html = tiny.compose(duration=1.5)._repr_html_()
    assert html.count("src=") == 2 and "http" not in html
    assert 'src="data:image/svg+xml;base64,' in html and 'src="data:audio/wav;base64,' in html


def test_the_record_is_the_programs(composer: vmt.Composer, tmp_path: Path, program: Program) -> None:
    music = composer.compose(duration=5)
    music.save(tmp_path / "music.json")
    assert program("--from", tmp_path / "music.json", kinds=["wav"]) == [music.wav()]
