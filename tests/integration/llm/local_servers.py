"""Streams of OpenAI's chat API as local servers send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tests.integration.llm import model_server
from tests.integration.llm.model_server import Answer

DOCUMENT: dict[str, Any] = {**model_server.DOCUMENT}
TEXT = json.dumps(DOCUMENT)
PIECES = [TEXT[start : start + 7] for start in range(0, len(TEXT), 7)]
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "local"}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def event(data: object) -> str:
    """Return one event of a stream."""
    return f"data: {json.dumps(data)}\n\n"


def chunk(delta: dict[str, Any], finish: object = None) -> str:
    """Return one chunk."""
    return event({**CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def call(**more: Any) -> dict[str, Any]:
    """Return a piece of a call of a tool: `index`, `id`, `name`, `arguments`, as far as they are given."""
    function = {key: more.pop(key) for key in ("name", "arguments") if key in more}
    return {**more, "function": function}


def calls(pieces: Iterable[dict[str, Any]]) -> list[str]:
    """Return the chunks of pieces of calls."""
    return [chunk({"tool_calls": [piece]}) for piece in pieces]


def ended(finish: object = "tool_calls", *, done: bool = True) -> list[str]:
    """Return the end of a stream."""
    usage = event({**CHUNK, "choices": [], "usage": USAGE})
    return [chunk({}, finish), usage, *(["data: [DONE]\n\n"] if done else [])]


def streamed(chunks: Sequence[str], *, ahead: str = "") -> Answer:
    """Return a stream of these chunks."""
    return Answer(body=ahead + "".join(chunks), type="text/event-stream")


def grown(pieces: Sequence[str]) -> list[str]:
    """Return pieces of which each has all that came before in it."""
    return ["".join(pieces[: end + 1]) for end in range(len(pieces))]
