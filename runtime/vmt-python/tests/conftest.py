"""The package as it was built with the workspace, and what its tests have in common."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
BUILT = RELEASE / "libvmt_python.so"
LIBRARY = Path(os.environ.setdefault("ORT_DYLIB_PATH", str(ROOT / "target/onnxruntime/libonnxruntime.so")))
# One wheel is tested as it was installed.
INSTALLED = os.environ.get("VMT_PYTHON_INSTALLED") == "1"

if not INSTALLED:
    # As maturin lays it out.
    package = ROOT / "target/python-package/vmt"
    package.mkdir(parents=True, exist_ok=True)
    python = Path(__file__).parents[1] / "python/vmt"
    for name, file in [*((file.name, file) for file in python.iterdir() if file.is_file()), ("_vmt.abi3.so", BUILT)]:
        assert file.exists(), f"{file} is missing: cargo build --release --workspace --lib --bins --examples"
        (package / name).unlink(missing_ok=True)
        (package / name).symlink_to(file)
    sys.path.insert(0, str(package.parent))
    os.environ["PYTHONPATH"] = str(package.parent)

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

import vmt  # noqa: E402

DEMO = ROOT / "tests/data/demo.mp4"
TINY = ROOT / "onnx/tiny-vmt"


@pytest.fixture(scope="session")
def composer() -> vmt.Composer:
    """The model inside, which plays to beats."""
    return vmt.Composer(engine="tract")


@pytest.fixture(scope="session")
def tiny() -> vmt.Composer:
    """A small model, which plays noise and to no beats."""
    return vmt.Composer(TINY, engine="tract")


@pytest.fixture(scope="session")
def pictures() -> npt.NDArray[np.uint8]:
    """Six seconds at ten pictures a second: two cuts, and something that moves."""
    film = np.zeros((60, 18, 32, 3), np.uint8)
    for index, picture in enumerate(film):
        picture[:] = (40, 200, 90)[index // 20]
        picture[:, index % 32] = 255 - index
    return film


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., list[bytes]]:
    """The program `vmt compose`; what it writes, by extension."""

    def run(*args: object, kinds: list[str]) -> list[bytes]:
        files = [tmp_path / f"program.{kind}" for kind in kinds]
        outputs = [word for file in files for word in ("-o", str(file))]
        command = [str(RELEASE / "vmt"), "compose", *map(str, args), "-q", *outputs]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [file.read_bytes() for file in files]

    return run


@pytest.fixture
def film(pictures: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures one by one."""
    return iter(pictures)
