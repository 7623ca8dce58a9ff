"""Virtual environments of the peers and of the charts, created once per content of their requirements."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", ROOT / ".data")).resolve() / "benchmarks"


def requirements(name: str) -> Path:
    """Return the requirements file of an environment."""
    return HERE / f"requirements-{name}.txt"


def python_of(name: str) -> Path:
    """Return the interpreter of an environment; create the environment if it is missing."""
    wanted = _content(requirements(name))
    folder = DATA_DIR / "environments" / f"{name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
        subprocess.run([python, *install, requirements(name)], check=True)
        (folder / "made").touch()
    return python


def _content(path: Path) -> bytes:
    """Return the content of a file and of the files that it includes."""
    content = path.read_bytes()
    included = re.findall(rb"^-r (\S+)", content, re.MULTILINE)
    return b"".join([content, *(_content(path.parent / each.decode()) for each in included)])


def pinned(path: Path, package: str) -> str:
    """Return the pinned version of a package in a file."""
    found = re.search(rf"^{re.escape(package)}(?:\[[^]]*\])?==(\S+)", path.read_text(), re.MULTILINE)
    assert found is not None, f"{path} does not pin {package}"
    return found[1]
