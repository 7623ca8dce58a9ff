"""Start and end of replies: byte order marks, and missing finish reasons."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from executions.engine.domain.calls import ModelReply
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.engine.prompting.replies import ValidDocument, Violations, parse_reply
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options, Output
from executions.llm.pydantic_ai.transport import Body
from tests.integration.llm import local_servers as local
from tests.integration.llm import wire_formats
from tests.integration.llm.local_servers import DOCUMENT, PIECES, TEXT, call, chunk
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.replies.test_output_modes import SCHEMA, asked_of
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

OPENAI, ANTHROPIC = "openai:gpt-5", "anthropic:claude-sonnet-5-5"
MARK = "\ufeff"
WHOLE = {
    OPENAI: wire_formats.completion("submit_document", DOCUMENT),
    ANTHROPIC: wire_formats.message("submit_document", DOCUMENT),
}
CALL = [call(index=0, id="c", name="submit_document", arguments=""), *(call(index=0, arguments=p) for p in PIECES)]
REASONS = [None, "", "eos", "stop_sequence", "stop"]


async def reply_to(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, *, model: str = OPENAI, streaming: bool = True
) -> ModelReply:
    """Return the reply that an answer comes to; it is asked for once."""
    with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        try:
            options = Options(streaming=streaming, output=Output.TOOLS)
            return await providers.ProviderModel(options).complete(asked_of(model), ignore)
        finally:
            assert len(server.asked) == 1


def is_document(reply: ModelReply) -> bool:
    """Return whether a reply is taken for the document."""
    return parse_reply(reply, schema=SCHEMA, max_questions=0) == ValidDocument(content=DOCUMENT)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_byte_order_mark_before_an_answer_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, model: str, streaming: bool
) -> None:
    if streaming:
        said = "".join(piece.decode() for piece in wire_formats.pieces(WHOLE[model]))
        answer = Answer(body=MARK + said, type="text/event-stream")
    else:
        answer = Answer(body=MARK + json.dumps(WHOLE[model]))
    assert is_document(await reply_to(monkeypatch, answer, model=model, streaming=streaming))


class Pieces(httpx2.AsyncByteStream):
    """A body that comes in these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("\ufeffdata: a", "data: a"),
        ("data: \ufeff", "data: \ufeff"),
        ("\ufeff", ""),
        ("\ufeff\ufeffa", "\ufeffa"),
        ("\ufefe", "\ufefe"),
        ("", ""),
    ],
)
async def test_one_mark_at_the_beginning_is_taken_away_however_it_is_cut(size: int, sent: str, kept: str) -> None:
    raw = sent.encode()
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    assert b"".join([piece async for piece in Body(Pieces(pieces))]) == kept.encode()


async def test_half_a_mark_is_none() -> None:
    assert b"".join([piece async for piece in Body(Pieces([b"\xef", b"\xbb"]))]) == b"\xef\xbb"


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("reason", REASONS)
async def test_a_whole_document_is_taken_whatever_its_stream_says_of_its_end(
    monkeypatch: pytest.MonkeyPatch, reason: str | None, done: bool
) -> None:
    answer = local.streamed([*local.calls(CALL), *local.ended(reason, done=done)])
    assert is_document(await reply_to(monkeypatch, answer))


@pytest.mark.parametrize("done", [True, False])
async def test_a_whole_document_in_words_is_taken_without_a_reason(monkeypatch: pytest.MonkeyPatch, done: bool) -> None:
    fenced = f"```json\n{TEXT}\n```"
    chunks = [chunk({"content": each}) for each in (fenced[:9], fenced[9:])]
    answer = local.streamed([*chunks, *(["data:[DONE]\n\n"] if done else [])])
    assert is_document(await reply_to(monkeypatch, answer))


def _without_reason(reason: object) -> dict[str, Any]:
    said = json.loads(json.dumps(WHOLE[OPENAI]))
    said["choices"][0]["finish_reason"] = reason
    if reason == "missing":
        del said["choices"][0]["finish_reason"]
    return said


@pytest.mark.parametrize("reason", [*REASONS, "missing"])
async def test_a_whole_answer_needs_no_reason(monkeypatch: pytest.MonkeyPatch, reason: str | None) -> None:
    assert is_document(await reply_to(monkeypatch, Answer(body=_without_reason(reason)), streaming=False))


CUT = {
    "a call": local.calls(CALL[:-1]),
    "a call without arguments": local.calls(CALL[:1]),
    "a call with an empty object": local.calls([call(index=0, name="submit_document", arguments={})]),
    "words": [chunk({"content": "Here is the document: "})],
    "a document in words": [chunk({"content": TEXT[:-1]})],
    "a fence": [chunk({"content": f"```json\n{TEXT}"})],
    "nothing": [chunk({"role": "assistant", "content": ""})],
}


@pytest.mark.parametrize("chunks", CUT.values(), ids=CUT)
async def test_what_is_cut_off_is_no_answer(monkeypatch: pytest.MonkeyPatch, chunks: list[str]) -> None:
    with pytest.raises(ModelError) as failed:
        await reply_to(monkeypatch, local.streamed(chunks))
    error = failed.value
    assert (error.failure_code, error.transient, error.cut_off) == (FailureCode.PROVIDER_UNAVAILABLE, True, True)


@pytest.mark.parametrize("name", ["a call", "words", "a document in words"])
async def test_what_announces_its_end_is_an_answer_and_its_faults_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    reply = await reply_to(monkeypatch, local.streamed([*CUT[name], *local.ended(None)]))
    outcome = parse_reply(reply, schema=SCHEMA, max_questions=0)
    assert isinstance(outcome, Violations)
    assert "JSON" in outcome.errors[0].detail


async def test_a_document_that_speaks_of_the_end_is_not_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [*CALL[:1], call(index=0, arguments='{"title": "data: [DONE]\\n\\n')]
    with pytest.raises(ModelError, match="stopped in the middle"):
        await reply_to(monkeypatch, local.streamed(local.calls(pieces)))
