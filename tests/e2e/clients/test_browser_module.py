"""The JavaScript module for streams in browsers, run under Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from executions.engine.domain.events import EventType
from tests.e2e.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.node]


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A copy of the module whose name tells every Node.js what it is."""
    source = ROOT / "console" / "static" / "scriptorium" / "stream.js"
    return Path(shutil.copy(source, tmp_path / "stream.mjs"))


def node(*arguments: str, module: Path) -> str:
    """Run Node.js in the repository and return what it wrote; the module is named by MODULE."""
    program = shutil.which("node")
    assert program is not None
    environment = {**os.environ, "MODULE": module.as_uri()}
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def test_the_module_holds_what_it_promises(module: Path) -> None:
    assert "# fail 0" in node("--test", "--test-reporter=tap", "tests/e2e/clients/stream.test.mjs", module=module)


def test_the_module_knows_every_type_of_event(module: Path) -> None:
    code = "const { EVENT_TYPES } = await import(process.env.MODULE); console.log(JSON.stringify(EVENT_TYPES));"
    found = node("--input-type=module", "-e", code, module=module)
    assert json.loads(found) == [str(each) for each in EventType]
