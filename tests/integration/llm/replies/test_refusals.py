"""Refusals of models: recognized in each API, with the given reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from executions.engine.domain.calls import FinishReason, ModelReply
from executions.engine.domain.states import FailureCode
from executions.engine.prompting.replies import Unusable, parse_reply
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm import wire_formats
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

WHY = "That would help to build a weapon."
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "status": "completed",
    "model": "gpt-5",
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "refusal", "refusal": WHY}],
        }
    ],
    "parallel_tool_calls": False,
    "tool_choice": "required",
    "tools": [],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 15,
    },
}


def _chat() -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": WHY}
    return {**wire_formats.completion("", {}), "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


def _messages() -> dict[str, Any]:
    details = {"type": "refusal", "category": None, "explanation": WHY}
    return {**wire_formats.message("", {}), "content": [], "stop_reason": "refusal", "stop_details": details}


def _stream_of_responses() -> str:
    begun = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.refusal.delta", **where, "delta": WHY},
        {"type": "response.refusal.done", **where, "refusal": WHY},
        {"type": "response.completed", "response": RESPONSE},
    ]
    numbered = (json.dumps({**event, "sequence_number": number}) for number, event in enumerate(events))
    return "".join(f"data: {event}\n\n" for event in numbered)


async def _reply(monkeypatch: pytest.MonkeyPatch, model: str, answer: Answer, *, streaming: bool) -> ModelReply:
    with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        return await providers.ProviderModel(Options(streaming=streaming)).complete(request_to(model), ignore)


@pytest.mark.parametrize(
    ("model", "answer", "streaming"),
    [
        ("openai:gpt-5", Answer(body=_chat()), False),
        ("openai-responses:gpt-5", Answer(body=RESPONSE), False),
        ("openai-responses:gpt-5", Answer(body=_stream_of_responses(), type="text/event-stream"), True),
        ("anthropic:claude-sonnet-5-5", Answer(body=_messages()), False),
    ],
    ids=["chat", "responses", "responses, streamed", "messages"],
)
async def test_a_refusal_is_told_with_its_reason_and_not_mended(
    monkeypatch: pytest.MonkeyPatch, model: str, answer: Answer, streaming: bool
) -> None:
    reply = await _reply(monkeypatch, model, answer, streaming=streaming)
    assert reply.finish_reason is FinishReason.REFUSED
    outcome = parse_reply(reply, schema={"type": "object"}, max_questions=0)
    assert isinstance(outcome, Unusable)
    assert (outcome.failure.code, outcome.failure.message) == (FailureCode.MODEL_REFUSED, WHY)


CUT = "Som"
FILTER = "The provider's content filter stopped the answer"


def _filtered(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text or None}
    choice = {"index": 0, "finish_reason": "content_filter", "message": message}
    return {**wire_formats.completion("", {}), "choices": [choice]}


def _stopped(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    return {**wire_formats.message("", {}), "content": content, "stop_reason": "refusal"}


def _unsafe(text: str, kind: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5 if text else 0}
    candidate = {"index": 0, "content": content, "finishReason": kind}
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-pro", "usageMetadata": usage}


def _incomplete(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    output = [{**RESPONSE["output"][0], "content": [part] if text else []}]
    return {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": output}


def _as(body: dict[str, Any], *, streaming: bool) -> Answer:
    if "candidates" in body and streaming:
        return Answer(body=f"data: {json.dumps(body)}\n\n", type="text/event-stream")
    return Answer(streamed=body) if streaming else Answer(body=body)


FILTERS = {
    "chat": ("openai:gpt-5", _filtered, f"{FILTER}."),
    "messages": ("anthropic:claude-sonnet-5-5", _stopped, f"{FILTER} (refusal)."),
    **{
        f"Google, {kind}": ("google:gemini-2.5-pro", partial(_unsafe, kind=kind), f"{FILTER} ({kind}).")
        for kind in ("SAFETY", "RECITATION", "PROHIBITED_CONTENT")
    },
}


@pytest.mark.parametrize("text", [CUT, ""], ids=["after some text", "at once"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "said", "why"), FILTERS.values(), ids=FILTERS)
async def test_a_filter_is_the_reason_and_not_the_text_that_it_cut(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    said: Callable[[str], dict[str, Any]],
    why: str,
    streaming: bool,
    text: str,
) -> None:
    found = await _reply(monkeypatch, model, _as(said(text), streaming=streaming), streaming=streaming)
    outcome = parse_reply(found, schema={"type": "object"}, max_questions=0)
    assert isinstance(outcome, Unusable)
    assert (outcome.failure.code, outcome.failure.message) == (FailureCode.MODEL_REFUSED, why)
    assert isinstance(found.raw, dict)
    assert found.raw.get("text", "") == text  # it was paid for, and is kept


async def test_a_filter_of_responses_is_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await _reply(monkeypatch, "openai-responses:gpt-5", Answer(body=_incomplete(CUT)), streaming=False)
    assert (found.finish_reason, found.text) == (FinishReason.REFUSED, f"{FILTER}.")


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_prompt_that_is_blocked_is_told_as_one(monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "gemini-2.5-pro"}
    body = {**blocked, "candidates": [], "usageMetadata": {"promptTokenCount": 10}}
    found = await _reply(monkeypatch, "google:gemini-2.5-pro", _as(body, streaming=streaming), streaming=streaming)
    assert found.text == "The provider's content filter stopped the prompt (PROHIBITED_CONTENT)."
