"""Malformed provider replies over real HTTP are never treated as an internal error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from executions.engine.domain.calls import ModelReply
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm import wire_formats
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import DOCUMENT, Answer, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.text_listeners import ignore

KEY = "sk-a-key-that-must-stay-secret"
OPENAI, ANTHROPIC = "openai:gpt-5", "anthropic:claude-sonnet-5-5"
COMPLETION = wire_formats.completion("submit_document", DOCUMENT)
MESSAGE = wire_formats.message("submit_document", DOCUMENT)
CHUNK = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "choices": []}


@pytest.fixture(autouse=True)
async def keys(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    await forget_models()
    yield
    await forget_models()


async def complete(monkeypatch: pytest.MonkeyPatch, model: str, answer: Answer, *, streaming: bool) -> ModelReply:
    """Return what asking a server that says this gives."""
    with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        return await providers.ProviderModel(Options(streaming=streaming)).complete(request_to(model), ignore)


def stream(whole: dict[str, Any], *odd: object, at: int) -> Answer:
    """Return the stream of an answer with odd events before its event number `at`."""
    pieces = [piece.decode() for piece in wire_formats.pieces(whole)]
    said = [f"data: {json.dumps(each)}\n\n" for each in odd]
    return Answer(body="".join([*pieces[:at], *said, *pieces[at:]]), type="text/event-stream")


def event(kind: str, **more: object) -> str:
    """Return an event of Anthropic's streams."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


ODD_CHUNKS = {"null": None, "list": [1, 2], "no choice": {**CHUNK, "choices": [None]}}
PIECES = [piece.decode() for piece in wire_formats.pieces(MESSAGE)]
NO_COUNT = event("message_delta", delta={"stop_reason": "tool_use"}, usage=None)
STREAMS = {
    **{f"{name} first": (OPENAI, stream(COMPLETION, odd, at=0)) for name, odd in ODD_CHUNKS.items()},
    **{f"{name} within": (OPENAI, stream(COMPLETION, odd, at=2)) for name, odd in ODD_CHUNKS.items()},
    "a far year": (OPENAI, stream(COMPLETION, {**CHUNK, "created": 1e20}, at=0)),
    "no start": (ANTHROPIC, Answer(body="".join(PIECES[1:]), type="text/event-stream")),
    "no count": (ANTHROPIC, Answer(body="".join([*PIECES[:-2], NO_COUNT]), type="text/event-stream")),
}
WHOLE = {
    "no choices": (OPENAI, Answer(body={**COMPLETION, "choices": []})),
    "choices are null": (OPENAI, Answer(body={**COMPLETION, "choices": None})),
    "content is null": (ANTHROPIC, Answer(body={**MESSAGE, "content": None})),
    "count is null": (ANTHROPIC, Answer(body={**MESSAGE, "usage": None})),
}
UNREADABLE = [
    *(pytest.param(*case, True, id=f"stream, {name}") for name, case in STREAMS.items()),
    *(pytest.param(*case, False, id=f"whole, {name}") for name, case in WHOLE.items()),
]


@pytest.mark.parametrize(("model", "answer", "streaming"), UNREADABLE)
async def test_what_cannot_be_read_is_asked_for_again_and_may_have_cost_something(
    monkeypatch: pytest.MonkeyPatch, model: str, answer: Answer, streaming: bool
) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, model, answer, streaming=streaming)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)
    assert "sent an unreadable reply" in str(error)


def overloaded(kind: str = "overloaded_error") -> dict[str, Any]:
    return {"error": {"type": kind, "message": f"Sorry, {KEY}."}}


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (OPENAI, stream(COMPLETION, overloaded("server_error"), at=3)),
        (ANTHROPIC, Answer(body="".join([*PIECES[:3], event("error", **overloaded())]), type="text/event-stream")),
    ],
)
async def test_an_error_in_the_middle_of_an_answer_may_have_cost_something_and_tells_no_key(
    monkeypatch: pytest.MonkeyPatch, model: str, answer: Answer
) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, model, answer, streaming=True)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)
    name = "OPENAI_API_KEY" if model == OPENAI else "ANTHROPIC_API_KEY"
    assert str(error).endswith(f"Sorry, [{name}].") or str(error).endswith("_API_KEY].")
    assert KEY not in str(error)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_refusal_quotes_the_provider_in_its_own_words(monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    body = {"error": {"message": f"The key {KEY} is wrong.", "param": None}}
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, OPENAI, Answer(status=401, body=body), streaming=streaming)
    assert KEY not in str(failed.value)
    assert "(HTTP 401): The key [" in str(failed.value)
    assert "{" not in str(failed.value)


@pytest.mark.parametrize("streaming", [False, True])
async def test_names_that_no_database_keeps_are_kept_as_far_as_they_can_be(
    monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    named = {**COMPLETION, "id": "a\0b\ud800", "model": "m\0" + "x" * 5000}
    answer = stream(named, at=0) if streaming else Answer(body=named)
    reply = await complete(monkeypatch, OPENAI, answer, streaming=streaming)
    assert (reply.provider_request_id, reply.model) == ("a\ufffdb\ufffd", "m\ufffd" + "x" * 198)


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-\u00e9"])
async def test_a_key_that_cannot_be_one_is_told_at_once(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, OPENAI, Answer(), streaming=False)
    assert (failed.value.failure_code, failed.value.transient) == (FailureCode.PROVIDER_REJECTED, False)
    assert "OPENAI_API_KEY contains characters" in str(failed.value)


async def test_the_newline_after_a_key_does_not_belong_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert (await complete(monkeypatch, OPENAI, Answer(), streaming=False)).tool_calls


PAGE = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Out of order</body></html>"
LOADING = "The model is loading"
INSTEAD = {
    "an object": ({"error": {"message": LOADING, "code": 503}}, LOADING),
    "a text": ({"error": LOADING}, LOADING),
    "a message": ({"message": LOADING}, LOADING),
    "a detail": ({"detail": LOADING}, LOADING),
    "several details": ({"detail": [{"loc": ["body"], "msg": LOADING}]}, LOADING),
    "no sentence": ({"error": {"code": 7}}, '{"error": {"code": 7}}'),
    "plain words": (LOADING, LOADING),
    "a page": (PAGE, "a page of HTML"),
    "a page without a type": ("\n<html><body>Out of order</body></html>", "a page of HTML"),
    "our key": ({"error": f"The key {KEY} is unknown"}, "The key ["),
}


def instead(model: str, body: object, *, form: str) -> Answer:
    """Return what comes instead of an answer: as a body of its own, or as an event in a stream."""
    if form == "event":
        text = body if isinstance(body, str) else json.dumps(body)
        ended = "data: [DONE]\n\n" if model == OPENAI else ""
        return Answer(body=f"data: {text}\n\n{ended}", type="text/event-stream")
    kind = "text/html" if isinstance(body, str) and "<" in body else "application/json"
    return Answer(body=body, type=kind)


@pytest.mark.parametrize(
    ("model", "form"), [(OPENAI, "whole"), (OPENAI, "streamed"), (OPENAI, "event"), (ANTHROPIC, "streamed")]
)
@pytest.mark.parametrize(("body", "words"), INSTEAD.values(), ids=INSTEAD)
async def test_what_came_instead_of_an_answer_is_told_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, model: str, body: object, words: str, form: str
) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, model, instead(model, body, form=form), streaming=form != "whole")
    error = failed.value
    assert (error.failure_code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)
    assert words in str(error)
    assert str(error).endswith(".")
    assert not any(secret in str(error) for secret in (KEY, "<", "Out of order"))


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_type_of_what_came_instead_is_told(monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, OPENAI, Answer(body=PAGE, type="text/html; charset=utf-8"), streaming=streaming)
    assert str(failed.value) == "openai:gpt-5 sent an unreadable reply (text/html): a page of HTML."


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_page_with_an_error_is_not_shown_either(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, model, Answer(status=502, body=PAGE, type="text/html"), streaming=True)
    assert str(failed.value).endswith("could not be called (HTTP 502): a page of HTML.")


@pytest.mark.parametrize("words", ["Forbidden", "Forbidden."])
async def test_advice_is_a_sentence_of_its_own(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    with pytest.raises(ModelError) as failed:
        await complete(monkeypatch, OPENAI, Answer(status=403, body={"error": words}), streaming=True)
    assert str(failed.value).endswith(": Forbidden. Check the API key, its permissions, and its access to this model.")


UNCOUNTED = [
    (OPENAI, {**COMPLETION, "usage": None}),
    (OPENAI, {**COMPLETION, "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}),
    (OPENAI, {**COMPLETION, "usage": {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12}}),
    (ANTHROPIC, {**MESSAGE, "usage": {"input_tokens": -5, "output_tokens": 3}}),
]


@pytest.mark.filterwarnings("ignore:Failed to extract usage")
@pytest.mark.parametrize(("model", "body"), UNCOUNTED)
async def test_a_reply_without_token_counts_has_no_known_cost(
    monkeypatch: pytest.MonkeyPatch, model: str, body: dict[str, Any]
) -> None:
    reply = await complete(monkeypatch, model, Answer(body=body), streaming=False)
    assert (reply.usage_known, reply.cost_usd) == (False, None)
    assert reply.tool_calls
