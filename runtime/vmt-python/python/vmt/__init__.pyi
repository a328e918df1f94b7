"""Composes piano scores for videos and arrays of pictures."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, final

import numpy as np
import numpy.typing as npt

__all__ = ["Composer", "Composition", "Error", "Event", "Stream", "__version__", "compose", "features"]

__version__: str

features: frozenset[str]
"""What was built in: "tract", "ort", "cuda" (engines), "built-in" (a model), "piano" (for sound), "video" (files, through FFmpeg)."""

_Path: TypeAlias = str | os.PathLike[str]

_Film: TypeAlias = _Path | npt.NDArray[np.uint8] | Iterable[Any]
"""A video file; an array of pictures, uint8 `[frames, height, width, 3]`; or an iterable of pictures, `[height, width, 3]`: arrays, or
what `numpy.asarray` makes arrays of. Pictures are scaled as they come, so memory does not grow with their size."""

_EngineName: TypeAlias = Literal["auto", "tract", "ort", "cuda"]

_Scale: TypeAlias = Literal[
    "major",
    "minor",
    "harmonic-minor",
    "melodic-minor",
    "dorian",
    "phrygian",
    "lydian",
    "mixolydian",
    "locrian",
    "pentatonic",
    "minor-pentatonic",
    "blues",
    "whole-tone",
]

class _Options(TypedDict, total=False):
    """How to compose, by the names of `vmt compose`; None is the default."""

    seed: int | None
    """Seed of the random numbers: 0. The same seed, film, bundle, engine and options give the same music."""
    temperature: float | None
    """Softmax temperature, 0-100: 1. 0 always takes the most probable event."""
    top_p: float | None
    """Sample from as few of the most probable events as together have this probability: 0.9."""
    top_k: int | None
    """Sample from so many of the most probable events only, 1-310."""
    guidance: float | None
    """Scale of classifier-free guidance, 0-10: 1. 0 ignores the film, more than 1 exaggerates its influence."""
    unconstrained: bool | None
    """Sample without the grammar that keeps the music playable: False."""
    tempo: Literal["auto", "off"] | float | None
    """Beats: chosen such that the film's cuts fall on them and its end on a downbeat ("auto", the default), steady, so many a minute,
    20-400, or none ("off"). Bundles without conditions play to no beats: there it is how MIDI and MusicXML count."""
    meter: Literal["4/4", "3/4"] | None
    """Beats in a bar."""
    key: str | None
    """Of a note, such as "F#": only notes of its scale are played. "auto", the default: the model is told a key, that of the primer or
    one drawn by the seed. "off": it is told none."""
    scale: _Scale | None
    """The scale on a key: "major"."""
    hit: float | Iterable[float] | None
    """Begin a bar and strike a note at these seconds."""
    hits: _Path | Iterable[float | tuple[float, str]] | None
    """Strike a note at each of these seconds, or markers of an editor's list: a file of seconds, Audacity, EDL, Premiere or Reaper."""
    intensity: Literal["auto", "off"] | Iterable[Iterable[float]] | None
    """How dense and loud the music is: as much as the picture changes ("auto", the default), as the model likes ("off"), or 0-1 at
    seconds: pairs of these."""
    intensity_guidance: float | None
    """How closely the music keeps to the intensity, 0-10: 1, or 6 where it is drawn by hand."""
    density: float | None
    """Aim at so many notes a second, at most 100."""
    pitch_range: tuple[int | str, int | str] | None
    """Only notes from one to another, within 21-108, or by their names: ("C3", "C6")."""
    velocity_range: tuple[int, int] | None
    """Only these velocities, within 1-127."""
    max_polyphony: int | None
    """At most so many notes at once, 1-88: 12."""
    quantize: bool | None
    """Notes begin on the sixteenths of the beats: True."""
    strike_hits: bool | None
    """A note is struck at each hit point: True. If not, the model is told of them, and meets them or not."""
    primer: _Path | None
    """The beginning of this MIDI file, at most half a window (5 s), is continued."""
    snap: bool | None
    """Move each note of the finished piece to the nearest sixteenth of a steady tempo: False."""
    start: float | None
    """Begin at this second of a file; times in the music count from there."""
    end: float | None
    """End at this second of a file, if it is that long."""

class Error(Exception):
    """A film, a model or an engine is not as it must be. Wrong calls are ValueError or TypeError, and what the system says of files
    is OSError."""

@final
class Event:
    """An event of a piece."""

    @property
    def time(self) -> float:
        """When in the film, in seconds; of a pause, when it is over."""
    @property
    def kind(self) -> Literal["note_on", "note_off", "time_shift", "velocity", "end", "pad"]:
        """What it is; "end" is that of a window of the model."""
    @property
    def value(self) -> int | float:
        """Of a note, its MIDI number; of a velocity, that of MIDI; of a pause, its seconds; else 0."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Composition:
    """Music for a film, and how it was made."""

    @property
    def notes(self) -> npt.NDArray[np.void]:
        """The notes in the order of their beginnings, with the fields start and end (seconds), pitch and velocity (of MIDI)."""
    @property
    def duration(self) -> float:
        """How long the music is, in seconds: as long as the film."""
    @property
    def bpm(self) -> float:
        """Beats a minute: of the click track, nominally, or as MIDI counts."""
    @property
    def take(self) -> int:
        """Which of the takes it is, from 0, in the order in which they were begun."""
    @property
    def complete(self) -> bool:
        """Whether the film's end was reached."""
    @property
    def log_probability(self) -> float:
        """The mean natural logarithm of the model's probability of an event."""
    @property
    def rank(self) -> float:
        """What takes are sorted by: the higher the better."""
    def midi(self) -> bytes:
        """A MIDI file, with bars, key and hit points of the click track where there is one."""
    def wav(self, soundfont: _Path | None = None) -> bytes:
        """A grand piano, 16-bit stereo at 48 kHz, or that of an SF2 file; at most 6 hours."""
    def musicxml(self) -> str:
        """A score for two hands."""
    def svg(self) -> str:
        """A piano roll."""
    def png(self) -> bytes:
        """A piano roll."""
    def json(self) -> str:
        """A record of how the music was made, which `vmt compose --from` renders again."""
    def record(self) -> dict[str, Any]:
        """The same as a dictionary."""
    def piano_roll(self, fs: float = 100.0) -> npt.NDArray[np.float64]:
        """Sums of velocities, `[128, columns]`, so many columns a second, up to the end of the last note: what pretty_midi's
        `get_piano_roll` gives of the MIDI file, where notes are on the beats' grid and not on that of 10 ms."""
    def to_pretty_midi(self) -> Any:
        """A `pretty_midi.PrettyMIDI`; ImportError without that package."""
    def save(self, path: _Path, *, overwrite: bool = False, soundfont: _Path | None = None) -> None:
        """Writes a file by its extension: .mid, .midi, .wav, .musicxml, .xml, .mxl, .png, .svg or .json. It appears when it is
        complete; FileExistsError if there is one and `overwrite` is False."""
    def _repr_html_(self) -> str: ...

@final
class Stream(Iterator[Event]):
    """A piece while it is composed: an iterator of events, each decoded when it is asked for."""

    def __iter__(self) -> Stream: ...
    def __next__(self) -> Event: ...
    def finish(self) -> Composition:
        """Stops, if the film's end is not reached yet, and returns the music so far."""

@final
class Composer:
    """A model that is ready to compose, for many films and from many threads at once."""

    def __new__(cls, bundle: _Path | None = None, engine: _EngineName = "auto", threads: int | None = None) -> Composer:
        """Loads a bundle (a folder), or the one inside. `engine`: "auto" is ONNX Runtime where its library is found (at
        ORT_DYLIB_PATH alone if that is set; else in the package onnxruntime, or the system's), else tract. `threads`: 1; more pay for large models and many takes only."""
    @property
    def engine(self) -> str:
        """The engine at work, such as "tract" or "ort"."""
    @property
    def model_name(self) -> str:
        """The model's name."""
    def compose(
        self,
        film: _Film | None = None,
        *,
        times: Iterable[float] | None = None,
        fps: float | None = None,
        duration: float | None = None,
        **options: Unpack[_Options],
    ) -> Composition:
        """Composes for a film.

        Pictures need `fps`, or the `times` at which they appear, in seconds; with these, the film ends at `duration`, or when the last
        picture has been on screen as long as the one before. Without a film, music of `duration` seconds is composed for none.
        """
    def takes(
        self,
        n: int,
        film: _Film | None = None,
        *,
        times: Iterable[float] | None = None,
        fps: float | None = None,
        duration: float | None = None,
        **options: Unpack[_Options],
    ) -> list[Composition]:
        """Composes `n` pieces side by side, 1-1024; the best comes first."""
    def stream(
        self,
        film: _Film | None = None,
        *,
        times: Iterable[float] | None = None,
        fps: float | None = None,
        duration: float | None = None,
        **options: Unpack[_Options],
    ) -> Stream:
        """Composes event by event."""

def compose(
    film: _Film | None = None,
    *,
    bundle: _Path | None = None,
    engine: _EngineName = "auto",
    threads: int | None = None,
    times: Iterable[float] | None = None,
    fps: float | None = None,
    duration: float | None = None,
    **options: Unpack[_Options],
) -> Composition:
    """Loads a model and composes for one film; a `Composer` is loaded once for many."""
