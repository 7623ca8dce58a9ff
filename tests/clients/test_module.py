"""The module that browsers follow streams with, under Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from executions.engine.events import EventType
from tests.journeys.processes import ROOT

pytestmark = pytest.mark.node

MODULE = "console/static/scriptorium/stream.js"


def node(*arguments: str) -> str:
    """Run Node.js in the repository and return what it wrote."""
    program = shutil.which("node")
    assert program is not None
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def test_the_module_holds_what_it_promises() -> None:
    assert "# fail 0" in node("--test", "--test-reporter=tap", "tests/clients/stream.test.mjs")


def test_the_module_knows_every_type_of_event() -> None:
    found = node(
        "--input-type=module",
        "-e",
        f"import {{ EVENT_TYPES }} from './{MODULE}'; console.log(JSON.stringify(EVENT_TYPES))",
    )
    assert json.loads(found) == [str(each) for each in EventType]
