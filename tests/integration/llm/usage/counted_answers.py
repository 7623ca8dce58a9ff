"""Replies with any token counts, complete or streamed, in each provider's API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.llm import wire_formats
from tests.integration.llm.model_server import DOCUMENT, Answer

OPENAI = "openai:gpt-5"
RESPONSES = "openai-responses:gpt-5"
ANTHROPIC = "anthropic:claude-sonnet-5-5"
GOOGLE = "google:gemini-2.5-pro"
MODELS = (OPENAI, RESPONSES, ANTHROPIC, GOOGLE)
Report = Mapping[str, Any] | None


def answer(
    model: str, *reported: Report, streaming: bool, headers: Mapping[str, str] | None = None, **more: Any
) -> Answer:
    """Return an answer that hands in a document.

    Args:
        model: In whose language.
        reported: The counts that it tells one after the other; of a whole one the last.
        streaming: Whether it is a stream.
        headers: With it.
        more: Of the whole answer, besides the count: `service_tier`.
    """
    if not streaming:
        return Answer(body=_whole(model, reported[-1], more), headers=headers or {})
    return Answer(body=_streamed(model, reported, more), type="text/event-stream", headers=headers or {})


def _whole(model: str, usage: Report, more: Mapping[str, Any]) -> dict[str, Any]:
    if model == OPENAI:
        return {**wire_formats.completion("submit_document", DOCUMENT), "usage": usage, **more}
    if model == ANTHROPIC:
        return {
            **wire_formats.message("submit_document", DOCUMENT),
            "model": "claude-sonnet-5-5",
            "usage": usage,
            **more,
        }
    if model == GOOGLE:
        return _generated(usage, ended=True, **more)
    return {**_response(usage, "completed", [_CALL]), **more}


def _streamed(model: str, reported: Sequence[Report], more: Mapping[str, Any]) -> str:
    if model == OPENAI:
        return _chunks(reported, more)
    if model == ANTHROPIC:
        return _events(reported, more)
    if model == GOOGLE:
        last = len(reported) - 1
        said = [_generated(usage, ended=number == last, **more) for number, usage in enumerate(reported)]
        return "".join(map(_event, said))
    return _steps(reported[-1], more)


def _chunks(reported: Sequence[Report], more: Mapping[str, Any]) -> str:
    *pieces, _, done = wire_formats.pieces(wire_formats.completion("submit_document", DOCUMENT))
    chunks = [json.loads(piece.decode().removeprefix("data: ")) | dict(more) for piece in pieces]
    begun, last = chunks[:2], chunks[-1]
    counted = [
        {**last, "choices": [{"index": 0, "delta": {}, "finish_reason": None}], "usage": each} for each in reported[:-2]
    ]
    ended = [{**last, "usage": reported[-2] if len(reported) > 1 else None}]
    final = [{**last, "choices": [], "usage": reported[-1]}]
    return "".join(map(_event, [*begun, *counted, *chunks[2:-1], *ended, *final])) + done.decode()


def _events(reported: Sequence[Report], more: Mapping[str, Any]) -> str:
    told = list(wire_formats.pieces({**_whole(ANTHROPIC, reported[-1] or {}, more), "usage": {"output_tokens": 1}}))
    begun = {**wire_formats.message("submit_document", DOCUMENT), "model": "claude-sonnet-5-5", "content": [], **more}
    first = {**begun, "stop_reason": None, "usage": reported[0]}
    deltas: list[dict[str, Any]] = [
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": each}
        for each in reported[1:]
    ]
    within = [piece.decode() for piece in told[1:-2]]
    return "".join(
        [
            _named({"type": "message_start", "message": first}),
            *within,
            *map(_named, deltas or [{"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}}]),
            _named({"type": "message_stop"}),
        ]
    )


_CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "status": "completed",
    "name": "submit_document",
    "arguments": json.dumps(DOCUMENT),
}


def _response(usage: Report, status: str, output: Sequence[object]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "model": "gpt-5",
        "output": list(output),
        "parallel_tool_calls": False,
        "tool_choice": "required",
        "tools": [],
        "usage": usage,
    }


def _steps(usage: Report, more: Mapping[str, Any]) -> str:
    where = {"item_id": "fc_1", "output_index": 0}
    arguments = _CALL["arguments"]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**_response(None, "in_progress", []), "service_tier": "auto"}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**_CALL, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **where, "delta": arguments},
        {"type": "response.function_call_arguments.done", **where, "arguments": arguments},
        {"type": "response.output_item.done", "output_index": 0, "item": _CALL},
        {"type": "response.completed", "response": {**_response(usage, "completed", [_CALL]), **more}},
    ]
    return "".join(_event({**event, "sequence_number": number}) for number, event in enumerate(events))


def _generated(usage: Report, *, ended: bool, **more: Any) -> dict[str, Any]:
    call = {"functionCall": {"name": "submit_document", "args": DOCUMENT}}
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [call] if ended else []}}
    if ended:
        candidate["finishReason"] = "STOP"
    said: dict[str, Any] = {"candidates": [candidate], "modelVersion": "gemini-2.5-pro", "responseId": "r1", **more}
    return said if usage is None else {**said, "usageMetadata": usage}


def _event(data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _named(data: dict[str, Any]) -> str:
    return f"event: {data['type']}\n{_event(data)}"
