"""A dry run of difficult schemas: the server keeps responding, and the step reports the reason."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.processes import CLOSED_BRIEF, Machine, wait_for_status
from tests.support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.e2e, pytest.mark.torture]

TREE = {"type": "array", "items": {"$ref": "#/$defs/node"}}
WORKFLOW: dict[str, Any] = {
    "id": "hard",
    "name": "Hard",
    "description": "Asks for what is hard to write.",
    "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
    "steps": [
        {
            "id": "tree",
            "name": "Tree",
            "role": "writer",
            "task": "Write.",
            "produces": "tree",
            "output_schema": {
                "type": "object",
                "required": ["title", "code", "tree"],
                "properties": {
                    "title": {"type": "string"},
                    "code": {"type": "string", "pattern": "^(a+)+$"},
                    "tree": TREE,
                    "whole": {"$ref": "#"},
                },
                "$defs": {"node": {"type": "object", "required": ["nodes"], "properties": {"nodes": TREE}}},
            },
        },
        {
            "id": "code",
            "name": "Code",
            "role": "writer",
            "task": "Write.",
            "inputs": ["tree"],
            "produces": "code",
            "output_schema": {
                "type": "object",
                "required": ["title", "code"],
                "properties": {
                    "title": {"type": "string"},
                    "code": {"type": "string", "pattern": "^(?=.*[A-Z])(?=.*[0-9]).{8,}$"},
                },
            },
        },
    ],
}


class Pulse:
    """Asks a server whether it lives, over and over, and keeps how long its slowest answer took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.slowest, self.answers = 0.0, 0

    def _watch(self) -> None:
        with httpx.Client() as client:
            while not self._ended.is_set():
                began = time.monotonic()
                assert client.get(f"{self._url}/healthz", timeout=HANG_SECONDS).status_code == 200
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answers += 1
                self._ended.wait(0.02)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_the_server_answers_while_a_recursive_schema_with_a_pattern_that_backtracks_is_rehearsed(
    fresh: Machine, tmp_path: Path
) -> None:
    folder = tmp_path / "catalog" / "hard"
    folder.mkdir(parents=True)
    (folder / "workflow.yaml").write_text(json.dumps(WORKFLOW), encoding="utf-8")
    fresh.serve()  # with the worker in it
    fresh.manage("load_catalog", "--catalog", str(folder.parent))
    letters = "a" * 27 + "b"
    body = {"workflow_id": "hard", "scope_type": "project", "scope_id": "p1", "input": f"{CLOSED_BRIEF} {letters}"}
    with fresh.client() as client, Pulse(fresh.url) as pulse:
        execution_id = client.post("/executions/", json={**body, "dry_run": True}).json()["execution_id"]
        failed = wait_for_status(client, execution_id, "failed")
        steps = client.get(f"/executions/{execution_id}/steps").json()["data"]
    assert [step["status"] for step in steps] == ["completed", "failed"]
    assert failed["error"]["code"] == "model_refused"
    assert "at /properties/code/pattern: no text was found" in failed["error"]["message"]
    assert pulse.answers > 5
    assert pulse.slowest < 0.5
