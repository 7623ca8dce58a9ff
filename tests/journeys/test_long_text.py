"""A long text, fast: what a client puts together while it is written is what the model wrote, to the character."""

from __future__ import annotations

import json
import logging
import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from orchestrator import postgres
from tests.journeys.processes import CLOSED_BRIEF, Machine, start_execution, wait_until
from tests.journeys.test_providers import asking
from tests.llm import wire
from tests.llm.model_server import Answer, ModelServer

pytestmark = pytest.mark.journey

TOKENS = 4_000
PAUSE = 0.001  # seconds between two of them
REST = 0.6  # seconds before the reply ends, in which the last of the text is shown
CALM_PAUSE = 0.0025  # the same, of a text that takes its time
CALM_REST = 8.0
WINDOW_SECONDS = 1.0

logger = logging.getLogger(__name__)


def _reply() -> dict[str, Any]:
    """Return a reply of so many tokens; no character of it is like the next one, and some are long on the wire."""
    words = "".join(f"{number}é😀 " for number in range(TOKENS * wire.PIECE // 6))
    answer = wire.completion("submit_document", {})
    function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps({"title": words}, ensure_ascii=False)[: TOKENS * wire.PIECE]
    return answer


def _text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])


@dataclass
class Watcher:
    """Puts the text of the first attempt together as docs/streaming.md says, and notes when it had how much."""

    text: str = ""
    last: int = 0
    offsets: list[int] = field(default_factory=list)
    growth: list[tuple[float, int]] = field(default_factory=list)  # when (monotonic), characters by then
    arrived: list[float] = field(default_factory=list)  # when any event did

    def watch(self, client: httpx.Client, execution_id: str, *, until: int | None = None) -> None:
        """Follow from the last event to the end of the attempt, or until so many characters are there."""
        self.offsets = []
        for event in _events(client, execution_id, after=self.last):
            self.arrived.append(time.monotonic())
            if event.id and event.event != "step_delta":
                self.last = int(event.id)
            told = event.json()
            if event.event in {"remediation_started", "step_failed"}:
                return
            if event.event != "step_delta" or told["data"]["attempt"] != 1:
                continue
            data = told["data"]
            assert data["offset"] in {0, len(self.text)}, "a character is missing, or comes twice"
            self.offsets.append(data["offset"])
            self.text = self.text[: data["offset"]] + data["text"]
            self.growth.append((self.arrived[-1], len(self.text)))
            if until is not None and len(self.text) >= until:
                return
        raise AssertionError("the stream ended before the attempt did")


def _events(client: httpx.Client, execution_id: str, *, after: int) -> Iterator[Any]:
    headers = {"Last-Event-ID": str(after)} if after else {}
    with connect_sse(client, "GET", f"/executions/{execution_id}/stream", headers=headers) as source:
        assert source.response.status_code == 200
        yield from (event for event in source.iter_sse() if event.data)


def _delays(server: ModelServer, watcher: Watcher, text: str) -> list[float]:
    """Return how long each token took from the provider to the client, in seconds, in ascending order."""
    said = server.said[0][2:]  # after who speaks, and which tool it calls
    delays, growth = [], iter(watcher.growth)
    moment, had = next(growth)
    for number in range(len(text) // wire.PIECE):
        while had < (number + 1) * wire.PIECE:
            moment, had = next(growth)
        delays.append(moment - said[number])
    return sorted(delays)


def _most_within_a_second(moments: list[float]) -> int:
    return max(sum(begin <= each < begin + WINDOW_SECONDS for each in moments) for begin in moments)


def test_a_long_text_arrives_whole_and_soon_also_over_a_reconnect(fresh: Machine) -> None:
    answer = _reply()
    text = _text_of(answer)
    with asking(fresh, Answer(pause=PAUSE, rest=REST, streamed=answer)) as server:
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client, fresh.client() as other, ThreadPoolExecutor(1) as threads:
            execution_id = start_execution(client, CLOSED_BRIEF)
            steady, cut = Watcher(), Watcher()
            following = threads.submit(steady.watch, client, execution_id)
            cut.watch(other, execution_id, until=len(text) // 3)
            cut.watch(other, execution_id)
            assert cut.offsets[0] == 0
            following.result(timeout=60)
    assert steady.text == text
    assert cut.text == text
    assert _most_within_a_second(steady.arrived) <= 12
    delays = _delays(server, steady, text)
    p50, p99 = statistics.median(delays), delays[len(delays) * 99 // 100]
    logger.info("token to client: p50 %.0f ms, p99 %.0f ms, of %d tokens", p50 * 1000, p99 * 1000, len(delays))
    assert p50 < 0.5


def test_a_crash_of_the_database_in_the_middle_costs_nobody_a_character(fresh: Machine) -> None:
    answer = _reply()
    text = _text_of(answer)
    with asking(fresh, Answer(pause=CALM_PAUSE, rest=CALM_REST, streamed=answer)):
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client, ThreadPoolExecutor(1) as threads:
            execution_id = start_execution(client, CLOSED_BRIEF)
            watcher = Watcher()
            following = threads.submit(watcher.watch, client, execution_id)
            # So late that the ids of pieces, which begin anew, do not come as far once more.
            wait_until(lambda: len(watcher.text) > len(text) * 2 // 3, what="two thirds of the text")
            note = postgres.home_of(fresh.data_dir) / "data" / "postmaster.pid"
            os.kill(int(note.read_text().split()[0]), signal.SIGQUIT)  # unlogged tables are empty after that
            following.result(timeout=90)
    assert watcher.text == text
    assert watcher.offsets.count(0) == 1


def test_a_cancel_in_the_middle_of_a_text_closes_the_connection_within_two_seconds(fresh: Machine) -> None:
    with asking(fresh, Answer(pause=CALM_PAUSE, streamed=_reply())) as server:
        fresh.serve("--no-worker")
        fresh.start("worker")
        with fresh.client() as client:
            execution_id = start_execution(client, CLOSED_BRIEF)
            Watcher().watch(client, execution_id, until=200)
            cancelled_at = time.monotonic()
            assert client.post(f"/executions/{execution_id}/cancel").status_code == 200
            wait_until(lambda: server.left, seconds=10, what="the end of the connection")
            assert server.left[0] - cancelled_at < 2
            late = [event.event for event in _events(client, execution_id, after=0)]
    assert "step_delta" not in late
