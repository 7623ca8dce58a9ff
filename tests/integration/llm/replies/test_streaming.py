"""Streamed replies: the pieces on the way, and the same final reply."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest

from executions.engine.domain.calls import FinishReason, ModelReply
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm.calls.test_failures import MODELS, request_to
from tests.integration.llm.model_server import DOCUMENT, Answer, Line, Misbehaviour, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.text_listeners import ignore

pytestmark = [pytest.mark.parametrize("model", MODELS), pytest.mark.usefixtures("keys")]


async def _complete(
    monkeypatch: pytest.MonkeyPatch, model: str, line: Line, *, streaming: bool = True
) -> tuple[ModelReply, list[str]]:
    heard: list[str] = []
    with model_server(line) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        await forget_models()
        reply = await providers.ProviderModel(Options(streaming=streaming)).complete(request_to(model), heard.append)
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


async def test_a_stream_that_ends_without_saying_why_is_no_answer(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with pytest.raises(ModelError) as failed:
        await _complete(monkeypatch, model, Misbehaviour.BREAK_OFF)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)
    assert "stopped in the middle" in str(error)


async def test_a_stream_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    with model_server(Answer(pause=0.4)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        await forget_models()
        with pytest.raises(ModelError) as failed:
            request = replace(request_to(model), timeout_seconds=1)
            await providers.ProviderModel(Options(streaming=True)).complete(request, ignore)
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.TIMED_OUT, True, True)


async def _ask(monkeypatch: pytest.MonkeyPatch, url: str, model: str, options: Options) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    await forget_models()
    await providers.ProviderModel(options).complete(request_to(model), ignore)


async def test_a_reply_that_does_not_begin_is_given_up_long_before_the_whole_time_is_up(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    with model_server(Misbehaviour.NEVER_ANSWER) as server, pytest.raises(ModelError) as failed:
        await _ask(monkeypatch, server.url, model, Options(first_token_seconds=0.3))
    error = failed.value
    assert "did not begin to reply within 0.3 s" in str(error)
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.TIMED_OUT, True, True)


async def test_a_reply_that_has_begun_may_take_its_time(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    seconds = 4.0  # more than a busy machine keeps an answer waiting that is there
    with model_server(Answer(rest=seconds + 0.4)) as server:
        await _ask(monkeypatch, server.url, model, Options(first_token_seconds=seconds))
    assert len(server.asked) == 1


async def test_a_provider_that_accepts_no_connection_is_given_up_without_cost(
    monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    with socket.socket() as full, ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # its accept queue is full: further connections get no response
            early = waiting.enter_context(socket.socket())
            early.setblocking(False)
            early.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(ModelError) as failed:
            await _ask(monkeypatch, url, model, Options(connect_seconds=0.3))
    assert (failed.value.failure_code, failed.value.cut_off) == (FailureCode.TIMED_OUT, False)
