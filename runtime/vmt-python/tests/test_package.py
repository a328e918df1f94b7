"""The package as people see it: types, the examples."""

import subprocess
import sys
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat.v4 import reads

import vmt
from conftest import DEMO, ROOT

HERE = Path(__file__).parents[1]


def run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_are_those_of_the_code() -> None:
    run(sys.executable, "-m", "mypy.stubtest", "vmt", "--mypy-config-file", HERE / "pyproject.toml")


def test_the_tests_keep_to_the_types() -> None:
    config = ["--config-file", HERE / "pyproject.toml", "--cache-dir", ROOT / "target/mypy"]
    run(sys.executable, "-m", "mypy", *config, HERE / "tests", cwd=HERE / "tests")


@pytest.mark.parametrize("readme", [ROOT / "README.md", HERE / "README.md"])
def test_the_readmes_program_composes(readme: Path, tmp_path: Path) -> None:
    programs = [part.split("```")[0] for part in readme.read_text().split("```python\n")[1:]]
    assert programs
    (tmp_path / "film.mp4").symlink_to(DEMO)
    for program in programs:
        if "video" in vmt.features or "film.mp4" not in program:
            (tmp_path / "program.py").write_text(program)
            run(sys.executable, "program.py", cwd=tmp_path)
            assert any(file.read_bytes().startswith(b"MThd") for file in tmp_path.glob("*.mid"))
            for file in tmp_path.glob("*.mid"):
                file.unlink()


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = reads((HERE / "examples/compose.ipynb").read_text())
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    # The kernel is this Python, and leaves nothing behind.
    done = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output["data"] for cell in done.cells for output in cell.get("outputs", []) if "data" in output]
    assert sum("data:audio/wav" in data.get("text/html", "") for data in shown) == 2
    assert (tmp_path / "music.mid").exists()
