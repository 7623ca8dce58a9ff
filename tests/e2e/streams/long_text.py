"""A long text that a model writes, and a client that assembles it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import connect_sse

from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import ModelServer

TOKENS = 4_000


def long_reply(tokens: int = TOKENS) -> dict[str, Any]:
    """Return a reply of so many tokens; no character of it is like the next one, and some are long on the wire."""
    words = "".join(f"{number}é😀 " for number in range(tokens * wire_formats.PIECE // 6))
    answer = wire_formats.completion("submit_document", {})
    function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps({"title": words}, ensure_ascii=False)[: tokens * wire_formats.PIECE]
    return answer


def text_of(answer: dict[str, Any]) -> str:
    """Return what the model writes in it."""
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
        for event in events_of(client, execution_id, after=self.last):
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


def events_of(client: httpx.Client, execution_id: str, *, after: int) -> Iterator[Any]:
    """Yield the events of a stream."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    with connect_sse(client, "GET", f"/executions/{execution_id}/stream", headers=headers) as source:
        assert source.response.status_code == 200
        yield from (event for event in source.iter_sse() if event.data)


def delays_of(server: ModelServer, watcher: Watcher, text: str) -> list[float]:
    """Return how long each token took from the provider to the client, in seconds, in ascending order."""
    said = server.said[0][2:]  # after who speaks, and which tool it calls
    delays, growth = [], iter(watcher.growth)
    moment, had = next(growth)
    for number in range(len(text) // wire_formats.PIECE):
        while had < (number + 1) * wire_formats.PIECE:
            moment, had = next(growth)
        delays.append(moment - said[number])
    return sorted(delays)
