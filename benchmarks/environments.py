"""Environments of the peers and of the charts: Python packages once per content of their requirements, npm packages."""

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
RESTATE_SERVER = "1.7.12"  # version of the npm package
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


def restate_server() -> Path:
    """Return Restate's server, a binary in an npm package; install the package if it is missing."""
    folder = DATA_DIR / "environments" / f"npm-restate-{RESTATE_SERVER}"
    if not (folder / "made").exists():
        package = f"@restatedev/restate-server@{RESTATE_SERVER}"
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", folder, package], check=True)
        (folder / "made").touch()
    [binary] = folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server")
    return binary


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
