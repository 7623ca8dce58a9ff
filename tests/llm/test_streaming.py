"""Replies that come piece by piece: what is heard meanwhile, and that the whole is the same in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from executions.engine.calls import FinishReason, ModelReply
from executions.engine.errors import ModelError
from executions.engine.states import FailureCode
from executions.llm import providers
from tests.llm.heard import ignore
from tests.llm.model_server import DOCUMENT, Answer, Line, Misbehaviour, model_server
from tests.llm.test_failures import MODELS, request_to

pytestmark = pytest.mark.parametrize("model", MODELS)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    providers._model.cache_clear()
    yield
    providers._model.cache_clear()


async def _complete(
    monkeypatch: pytest.MonkeyPatch, model: str, line: Line, *, streaming: bool = True
) -> tuple[ModelReply, list[str]]:
    heard: list[str] = []
    with model_server(line) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        providers._model.cache_clear()
        reply = await providers.ProviderModel(streaming=streaming).complete(request_to(model), heard.append)
        assert [bool(asked.get("stream")) for asked in server.asked] == [streaming]
    return reply, heard


async def test_what_is_heard_piece_by_piece_is_what_the_model_hands_in(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    reply, heard = await _complete(monkeypatch, model, Answer())
    assert json.loads("".join(heard)) == DOCUMENT
    assert len(heard) > 1
    arguments = reply.tool_calls[0].arguments
    assert (json.loads(arguments) if isinstance(arguments, str) else arguments) == DOCUMENT


async def test_a_reply_in_pieces_is_booked_as_one_that_comes_whole(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    streamed, _ = await _complete(monkeypatch, model, Answer())
    whole, heard = await _complete(monkeypatch, model, Answer(), streaming=False)
    assert heard == []
    assert (streamed.usage, streamed.cost_usd, streamed.finish_reason) == (
        whole.usage,
        whole.cost_usd,
        whole.finish_reason,
    )
    assert (streamed.model, streamed.provider, streamed.provider_request_id) == (
        whole.model,
        whole.provider,
        whole.provider_request_id,
    )
    assert streamed.finish_reason is FinishReason.STOP
    assert streamed.usage.output_tokens > 0


async def test_a_stream_that_breaks_off_may_have_cost_something(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with pytest.raises(ModelError) as failed:
        await _complete(monkeypatch, model, Misbehaviour.HANG_UP_IN_MID_STREAM)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)


async def test_a_stream_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with model_server(Answer(pause=0.4)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        providers._model.cache_clear()
        with pytest.raises(ModelError) as failed:
            request = replace(request_to(model), timeout_seconds=1)
            await providers.ProviderModel(streaming=True).complete(request, ignore)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.TIMED_OUT, True, True)
