"""Composes piano scores for videos and arrays of pictures.

>>> import vmt
>>> music = vmt.compose("film.mp4", seed=1)
>>> music.save("music.mid")
"""

from vmt._vmt import Composer, Composition, Error, Event, Stream, __version__, compose, features

__all__ = ["Composer", "Composition", "Error", "Event", "Stream", "__version__", "compose", "features"]
