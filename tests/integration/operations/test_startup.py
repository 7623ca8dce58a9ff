"""Process start: garbage collection is off during imports, and on afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.e2e.processes import ROOT

TELL = "import gc, json; print(json.dumps([gc.isenabled(), gc.get_freeze_count()]))"
STARTS = {
    "a command": ["manage.py", "shell", "--no-imports", "-c", TELL],
    "a command that serves": ["manage.py", "shell", "--no-imports", "-c", f"import orchestrator.asgi; {TELL}"],
    "another server": ["-c", f"import orchestrator.asgi; {TELL}"],
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.torture] if name != "a command that serves" else []) for name in STARTS],
)
def test_garbage_is_collected_once_the_apps_are_here(name: str) -> None:
    kept = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    told = subprocess.run(
        [sys.executable, *STARTS[name]], cwd=ROOT, env=kept, capture_output=True, text=True, timeout=400, check=True
    )
    is_on, frozen = json.loads(told.stdout)
    assert is_on
    assert frozen > 100_000  # objects: of all that was imported
