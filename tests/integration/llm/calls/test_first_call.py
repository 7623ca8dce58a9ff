"""The first call loads a library. Loading neither uses the call's time limit nor blocks other tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.integration.llm.first_call_process import LOADING_SECONDS
from tests.integration.llm.model_server import Answer, model_server


def test_a_library_that_loads_slowly_is_no_slow_answer() -> None:
    with model_server(Answer()) as server:
        here = {"ANTHROPIC_BASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "orchestrator.settings"}
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.integration.llm.first_call_process",
                "anthropic:claude-sonnet-5-5",
                "anthropic",
            ],
            env={**os.environ, **here},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["written"] == ["submit_document"]
    assert told["held_up_seconds"] < LOADING_SECONDS
