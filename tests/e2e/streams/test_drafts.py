"""Following clients get the text while a model writes it: through worker, database and web server."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, connect_sse

from tests.e2e.processes import CLOSED_BRIEF, Machine, start_execution
from tests.e2e.providers.test_providers import asking
from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import Answer

pytestmark = pytest.mark.e2e

PAUSE = 0.05  # seconds between two pieces, so that several pieces share a delta


class Reader:
    """Puts the texts of steps together as the documentation says."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, int], str] = {}
        self.moments: dict[str, list[float]] = {}
        self.ended: set[str] = set()
        self.last = 0

    def take(self, event: ServerSentEvent) -> str:
        """Take in a message; return its type."""
        if not event.data:
            return ""
        told: dict[str, Any] = event.json()
        step_id, data = told["step_id"], told["data"]
        if event.event == "step_delta":
            assert step_id not in self.ended, "a delta after its step's end"
            key = (step_id, data["attempt"])
            known = self.texts.get(key, "")
            assert data["offset"] <= len(known), "a character is missing"
            self.texts[key] = known[: data["offset"]] + data["text"]
            self.moments.setdefault(step_id, []).append(time.monotonic())
        else:
            self.last = int(event.id)
            if event.event in {"step_completed", "step_failed"}:
                self.ended.add(step_id)
        return event.event


@contextmanager
def _stream(client: httpx.Client, execution_id: str, after: int = 0) -> Iterator[Iterator[ServerSentEvent]]:
    headers = {"Last-Event-ID": str(after)} if after else {}
    with connect_sse(client, "GET", f"/executions/{execution_id}/stream", headers=headers) as source:
        assert source.response.status_code == 200
        yield source.iter_sse()


def _whole() -> str:
    return json.dumps({"title": "T", "points": ["p " * 200]})


@pytest.mark.torture
def test_text_arrives_while_it_is_written_and_at_most_ten_times_a_second(fresh: Machine) -> None:
    document = json.loads(_whole())
    answer = Answer(pause=PAUSE, streamed=wire_formats.completion("submit_document", document))
    with asking(fresh, answer):
        fresh.serve("--no-worker")
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
            fresh.start("worker")
            first, again = Reader(), Reader()
            with _stream(client, execution_id) as events:
                for event in events:
                    first.take(event)
                    if len(first.texts) == 3 and min(map(len, first.texts.values())) > 150:
                        break  # the line is cut in the middle
            with _stream(client, execution_id, after=first.last) as events:
                for event in events:
                    if again.take(event) == "step_failed":
                        break
    texts = Counter(text for text in again.texts.values())
    assert len(again.texts) >= 3
    for text in texts:
        assert _whole().startswith(text)
    assert max(map(len, texts)) > 0.8 * len(_whole())
    for moments in again.moments.values():
        rate = (len(moments) - 1) / max(moments[-1] - moments[0], 0.5)
        assert rate <= 12


@pytest.mark.torture
def test_a_worker_that_is_killed_leaves_no_text_and_the_next_one_writes_it_anew(fresh: Machine) -> None:
    answer = Answer(pause=PAUSE, streamed=wire_formats.completion("submit_document", json.loads(_whole())))
    with asking(fresh, answer):
        fresh.environment |= {
            "WORKER_SILENT_SECONDS": "3",
            "RECOVERY_INTERVAL_SECONDS": "1",
            "HEARTBEAT_SECONDS": "0.5",
        }
        fresh.serve("--no-worker")
        worker = fresh.start("worker")
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF, workflow_id="vendor-assessment")
            reader = Reader()
            anew: list[int] = []
            with _stream(client, execution_id) as events:
                for event in events:
                    if reader.take(event) == "step_delta" and worker.returncode is not None:
                        anew.append(event.json()["data"]["offset"])
                    if worker.returncode is None and max(map(len, reader.texts.values()), default=0) > 100:
                        worker.send_signal(signal.SIGKILL)
                        worker.wait()
                        fresh.start("worker")
                    if reader.ended:
                        break
            assert 0 in anew
    assert max(map(len, reader.texts.values())) > 0.8 * len(_whole())
