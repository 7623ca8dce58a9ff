"""Streamed tool calls that are split or cut off at any point give the complete document or none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic_ai.providers.openai import OpenAIProvider

from executions.engine.domain.errors import ModelError
from executions.engine.prompting.replies import Outcome, ValidDocument, parse_reply
from executions.llm.pydantic_ai import providers, transport
from executions.llm.pydantic_ai.chat import ChatModel
from executions.llm.pydantic_ai.options import Options, Output
from tests.integration.llm import local_servers as local
from tests.integration.llm.local_servers import call
from tests.integration.llm.replies.test_output_modes import asked_of
from tests.integration.llm.text_listeners import ignore
from tests.support.fuzzing import share_of_30

#: Time limit of one of the two properties on an idle machine.
SECONDS = share_of_30(2)
EXAMPLES = max(int(SECONDS * 50), 1)
MODEL, NAME = "openai:local", "submit_document"
OPEN: dict[str, Any] = {"type": "object"}
CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS, max_size=8) | st.sampled_from(
    ["{", '"}', "\\", '{"a":', "data: [DONE]\n\n", "\u2028", "\ufeff"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(TEXTS.filter(lambda name: name != "document"), VALUES, min_size=1, max_size=3)
CUTS = st.lists(st.integers(min_value=0, max_value=5_000), max_size=8)
WAYS = st.sampled_from(["plain", "name each time", "all so far", "no index", "an id each time"])
ENDS = st.sampled_from(["tool_calls", "stop", None])


class Pieces(httpx2.AsyncByteStream):
    """The body of an answer, in pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Wire(httpx2.AsyncBaseTransport):
    """A connection on which the same bytes come for each request."""

    pieces: Sequence[bytes] = ()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, stream=Pieces(self.pieces), request=request)


Ask = Callable[[Sequence[bytes]], "Outcome | None"]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Return what an answer in pieces is taken for; None: it was cut off, or cannot be read."""
    wire = Wire()
    connections = httpx2.AsyncClient(transport=wire, event_hooks={"response": [transport.on_response]})
    client = AsyncOpenAI(api_key="none", base_url="http://local/v1", max_retries=0, http_client=connections)
    providers._models[MODEL] = ChatModel("local", provider=OpenAIProvider(openai_client=client))
    asking = providers.ProviderModel(Options(output=Output.TOOLS))
    request = replace(asked_of(MODEL), output_schema=OPEN)

    with asyncio.Runner() as runner:

        def taken(pieces: Sequence[bytes]) -> Outcome | None:
            wire.pieces = pieces
            try:
                reply = runner.run(asking.complete(request, ignore))
            except ModelError as error:
                assert error.cut_off
                return None
            return parse_reply(reply, schema=OPEN, max_questions=0)

        yield taken
        runner.run(connections.aclose())
    del providers._models[MODEL]


def cut(whole: Any, places: Sequence[int]) -> list[Any]:
    """Return a text, or bytes, cut at these places."""
    ends = sorted({0, *(place % (len(whole) + 1) for place in places), len(whole)})
    return [whole[start:end] for start, end in pairwise(ends)]


def calls(way: str, name: Sequence[str], arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pieces of one call, in the way of some server."""
    if way == "plain":
        return [*(call(index=0, name=each) for each in name), *(call(index=0, arguments=each) for each in arguments)]
    if way == "no index":
        return [call(name=NAME, arguments=""), *(call(arguments=each) for each in arguments)]
    if way == "an id each time":
        return [call(index=0, id=f"c{number}", name=NAME, arguments=each) for number, each in enumerate(arguments)]
    pieces = local.grown(arguments) if way == "all so far" else arguments
    return [call(index=0, name=NAME, arguments=each) for each in pieces]


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Return a document, and a stream that hands it in."""
    document = draw(DOCUMENTS)
    written = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    pieces = calls(draw(WAYS), cut(NAME, draw(CUTS)), cut(written, draw(CUTS)))
    chunks = [*local.calls(pieces), *local.ended(draw(ENDS), done=draw(st.booleans()))]
    ahead = draw(st.sampled_from(["", "\ufeff", ": a comment\n\n"]))
    return document, (ahead + "".join(chunks)).encode()


@settings(max_examples=EXAMPLES, deadline=None)
@given(stream=streams(), places=CUTS)
def test_a_call_is_the_same_document_however_its_stream_is_cut_to_pieces(
    ask: Ask, stream: tuple[dict[str, Any], bytes], places: Sequence[int]
) -> None:
    document, raw = stream
    assert ask(cut(raw, places)) == ask([raw]) == ValidDocument(content=document)


@settings(max_examples=EXAMPLES, deadline=None)
@given(stream=streams(), end=st.integers(min_value=0, max_value=5_000), places=CUTS)
def test_a_stream_that_is_cut_off_brings_the_whole_document_or_none(
    ask: Ask, stream: tuple[dict[str, Any], bytes], end: int, places: Sequence[int]
) -> None:
    document, raw = stream
    outcome = ask(cut(raw[: end % len(raw)], places))
    assert outcome == ValidDocument(content=document) or not isinstance(outcome, ValidDocument)
