"""Calls of the document tool, with any spelling of its name and any split into pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from executions.engine.domain.calls import ModelReply
from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.engine.prompting.replies import Outcome, Questions, ValidDocument, Violations, parse_reply
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options, Output
from tests.integration.llm import local_servers as local
from tests.integration.llm import wire_formats
from tests.integration.llm.local_servers import DOCUMENT, PIECES, TEXT, call
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.replies.test_output_modes import SCHEMA, asked_of
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

OPENAI, ANTHROPIC = "openai:gpt-5", "anthropic:claude-sonnet-5-5"
NAME = "submit_document"
ASK = {"questions": [{"text": "Who decides?"}]}


async def reply_to(
    monkeypatch: pytest.MonkeyPatch,
    answer: Answer,
    *,
    streaming: bool = True,
    questions: int = 0,
    on_text: Any = ignore,
) -> ModelReply:
    """Return the reply that an answer of a server comes to."""
    with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        model = providers.ProviderModel(Options(streaming=streaming, output=Output.TOOLS))
        return await model.complete(asked_of(OPENAI, questions=questions), on_text)


def taken(reply: ModelReply, *, questions: int = 0) -> Outcome:
    """Return what a reply is taken for."""
    return parse_reply(reply, schema=SCHEMA, max_questions=questions)


STREAMS: dict[str, list[dict[str, Any]]] = {
    "the name with each piece": [call(index=0, id="c", name=NAME, arguments=each) for each in PIECES],
    "the name in pieces": [
        *(call(index=0, name=each) for each in ("submit", "_doc", "ument")),
        *(call(index=0, arguments=each) for each in PIECES),
    ],
    "the name grows": [call(index=0, name=each, arguments="") for each in ("submit", "submit_document")]
    + [call(index=0, arguments=each) for each in PIECES],
    "a namespace": [call(index=0, name=f"functions.{NAME}", arguments=each) for each in PIECES],
    "a channel": [call(index=0, name=f"{NAME}<|channel|>json", arguments=TEXT)],
    "capitals and dashes": [call(index=0, name="Submit-Document", arguments=TEXT)],
    "an empty name": [call(index=0, id="c", name="", arguments=each) for each in PIECES],
    "no name": [call(index=0, arguments=each) for each in PIECES],
    "an object": [call(index=0, id="c", name=NAME, arguments=DOCUMENT)],
    "an object, then nothing": [call(index=0, name=NAME, arguments=DOCUMENT), call(index=0, arguments="")],
    "an empty object first": [call(index=0, name=NAME, arguments={}), *(call(index=0, arguments=p) for p in PIECES)],
    "an empty object as text first": [
        call(index=0, id="c", name=NAME, arguments="{}"),
        *(call(index=0, arguments=each) for each in PIECES),
    ],
    "an empty object with spaces first": [
        call(index=0, id="c", name=NAME, arguments=each) for each in ["", "{ }\n", *PIECES]
    ],
    "an empty object first, then all at once": [call(index=0, name=NAME, arguments=each) for each in ["{}", TEXT]],
    "an empty object first, then an object": [call(index=0, name=NAME, arguments=each) for each in ["{}", DOCUMENT]],
    "an empty object in two pieces first": [
        call(index=0, id="c", name=NAME, arguments=each) for each in ["{", "}", *PIECES]
    ],
    "an empty object first, all so far with each piece": [
        call(index=0, name=NAME, arguments=each) for each in ["{}", *local.grown(PIECES)]
    ],
    "an empty object first, then nothing, then another id": [
        call(index=0, id=f"c{n}", name=NAME, arguments=each) for n, each in enumerate(["{}", "", TEXT])
    ],
    "no index, an empty object first": [call(name=NAME, arguments="{}"), *(call(arguments=each) for each in PIECES)],
    "no index": [call(name=NAME, arguments=""), *(call(arguments=each) for each in PIECES)],
    "no index, a name with each piece": [call(name=NAME, arguments=each) for each in PIECES],
    "no index, an id with each piece": [call(id=f"c{n}", name=NAME, arguments=p) for n, p in enumerate(PIECES)],
    "an id with each piece": [call(index=0, id=f"c{n}", arguments=each) for n, each in enumerate(PIECES)],
    "all so far with each piece": [call(index=0, name=NAME, arguments=each) for each in local.grown(PIECES)],
    "all again at the end": [call(index=0, name=NAME, arguments=each) for each in [*PIECES, TEXT]],
    "an object at the end": [call(index=0, name=NAME, arguments=each) for each in [*PIECES, DOCUMENT]],
    "encoded twice": [call(index=0, name=NAME, arguments=json.dumps(TEXT))],
    "twice the same": [call(index=n, id=f"c{n}", name=NAME, arguments=TEXT) for n in range(2)],
    "twice the same, one index": [
        call(index=0, id=f"c{n}", name=NAME, arguments=text)
        for n, text in enumerate([TEXT, json.dumps(DOCUMENT, indent=1)])
    ],
}


@pytest.mark.parametrize("pieces", STREAMS.values(), ids=STREAMS)
async def test_what_can_only_mean_the_document_is_taken(
    monkeypatch: pytest.MonkeyPatch, pieces: list[dict[str, Any]]
) -> None:
    reply = await reply_to(monkeypatch, local.streamed([*local.calls(pieces), *local.ended()]))
    assert taken(reply) == ValidDocument(content=DOCUMENT)


@pytest.mark.parametrize(
    "name",
    [
        "the name with each piece",
        "all so far with each piece",
        "no index",
        "an empty object as text first",
        "an empty object with spaces first",
        "no index, an empty object first",
    ],
)
async def test_what_is_heard_meanwhile_is_the_document_once(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    heard: list[str] = []
    answer = local.streamed([*local.calls(STREAMS[name]), *local.ended()])
    await reply_to(monkeypatch, answer, on_text=heard.append)
    assert "".join(heard) == TEXT
    assert len(heard) > 3


async def test_an_object_in_an_object_of_the_same_name_is_not_taken_for_a_repetition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces = [call(index=0, name=NAME, arguments=each) for each in ('{"a":', '{"a":', "1}}")]
    reply = await reply_to(monkeypatch, local.streamed([*local.calls(pieces), *local.ended()]))
    assert [json.loads(str(each.arguments)) for each in reply.tool_calls] == [{"a": {"a": 1}}]


@pytest.mark.parametrize("index", [0, None])
async def test_an_empty_object_is_not_replaced_by_a_call_of_another_tool(
    monkeypatch: pytest.MonkeyPatch, index: int | None
) -> None:
    pieces = [call(index=index, name="ask_clarification", arguments="{}"), call(index=index, name=NAME, arguments=TEXT)]
    reply = await reply_to(monkeypatch, local.streamed([*local.calls(pieces), *local.ended()]))
    assert [(each.name, json.loads(str(each.arguments))) for each in reply.tool_calls] == [
        ("ask_clarification", {}),
        (NAME, DOCUMENT),
    ]


@pytest.mark.parametrize("pieces", [["{}"], ["{", "}"], ["{}", ""], ["{}", "{}"]])
async def test_an_empty_object_with_nothing_after_it_is_what_was_sent(
    monkeypatch: pytest.MonkeyPatch, pieces: list[str]
) -> None:
    said = [call(index=0, id="c", name=NAME, arguments=each) for each in pieces]
    reply = await reply_to(monkeypatch, local.streamed([*local.calls(said), *local.ended()]))
    assert [json.loads(str(each.arguments)) for each in reply.tool_calls] == [{}]


def whole(*functions: dict[str, Any], **more: Any) -> Answer:
    """Return a whole answer that calls tools."""
    said = wire_formats.completion(NAME, {})
    message = {**said["choices"][0]["message"], "tool_calls": [{"function": each, **more} for each in functions]}
    return Answer(body={**said, "choices": [{**said["choices"][0], "message": message}]})


@pytest.mark.parametrize(
    "answer",
    [
        whole({"name": f"functions.{NAME}", "arguments": TEXT}, id="c", type="function"),
        whole({"name": NAME, "arguments": DOCUMENT}, id="c", type="function"),
        whole({"name": None, "arguments": TEXT}),
        whole({"arguments": TEXT}, id=None, type=None),
        whole(*[{"name": NAME, "arguments": TEXT}] * 2, id="c", type="function"),
    ],
    ids=["a namespace", "an object", "no name", "nothing else", "twice the same"],
)
async def test_a_whole_answer_is_taken_as_well(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    assert taken(await reply_to(monkeypatch, answer, streaming=False)) == ValidDocument(content=DOCUMENT)


OTHER = json.dumps({**DOCUMENT, "title": "U"})
SENT_BACK = {
    "two documents": [call(index=n, name=NAME, arguments=text) for n, text in enumerate([TEXT, OTHER])],
    "two documents, one index": [call(index=0, id=text[:9], name=NAME, arguments=text) for text in [TEXT, OTHER]],
    "two documents, no index": [call(name=NAME, arguments=text) for text in [TEXT, OTHER]],
    "a document and questions": [
        call(index=0, name=NAME, arguments=TEXT),
        call(index=1, name="ask_clarification", arguments=json.dumps(ASK)),
    ],
    "a document and questions, no index": [
        call(name=NAME, arguments=TEXT),
        call(name="ask_clarification", arguments=""),
        call(arguments=json.dumps(ASK)),
    ],
    "another tool": [call(index=0, name="get_weather", arguments=TEXT)],
    "both tools in one name": [call(index=0, name=f"{NAME}ask_clarification", arguments=TEXT)],
}


@pytest.mark.parametrize("pieces", SENT_BACK.values(), ids=SENT_BACK)
async def test_what_can_mean_two_things_is_sent_back(
    monkeypatch: pytest.MonkeyPatch, pieces: list[dict[str, Any]]
) -> None:
    answer = local.streamed([*local.calls(pieces), *local.ended()])
    reply = await reply_to(monkeypatch, answer, questions=2)
    assert isinstance(taken(reply, questions=2), Violations)


@pytest.mark.parametrize("name", ["functions.ask_clarification", "Ask-Clarification", "ask_clarification" * 3, ""])
async def test_questions_are_taken_by_the_same_rules(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pieces = [call(index=0, name=name, arguments=json.dumps(ASK))]
    reply = await reply_to(monkeypatch, local.streamed([*local.calls(pieces), *local.ended()]), questions=2)
    assert isinstance(taken(reply, questions=2), Questions)
    assert isinstance(taken(reply), Violations)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("output", [Output.TOOLS, Output.NATIVE])
async def test_one_call_in_an_answer_is_asked_for(monkeypatch: pytest.MonkeyPatch, model: str, output: Output) -> None:
    with model_server(Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        await providers.ProviderModel(Options(output=output)).complete(asked_of(model), ignore)
    [body] = server.asked
    said = (
        body.get("parallel_tool_calls")
        if model == OPENAI
        else body.get("tool_choice", {}).get("disable_parallel_tool_use")
    )
    wanted = None if output is Output.NATIVE else model == ANTHROPIC
    assert said is wanted


REFUSALS = {
    "parallel_tool_calls": "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
    "max_tokens": "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("parameter", REFUSALS)
async def test_a_server_that_refuses_a_parameter_is_asked_without_it_from_then_on(
    monkeypatch: pytest.MonkeyPatch, parameter: str, streaming: bool
) -> None:
    refusal = Answer(status=400, body={"error": {"message": REFUSALS[parameter], "param": parameter}})
    with model_server(refusal, Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        model = providers.ProviderModel(Options(streaming=streaming))
        for _ in range(2):
            assert taken(await model.complete(asked_of(OPENAI), ignore)) == ValidDocument(content=DOCUMENT)
    assert [parameter in asked for asked in server.asked] == [True, False, False]
    assert all(asked["max_completion_tokens"] == 500 for asked in server.asked)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("order", [[*REFUSALS], [*REFUSALS][::-1]], ids=", ".join)
async def test_a_server_that_refuses_one_parameter_after_the_other_is_asked_without_both(
    monkeypatch: pytest.MonkeyPatch, order: list[str], streaming: bool
) -> None:
    refusals = [Answer(status=400, body={"error": {"message": REFUSALS[each], "param": each}}) for each in order]
    with model_server(*refusals, Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        model = providers.ProviderModel(Options(streaming=streaming))
        for _ in range(2):
            assert taken(await model.complete(asked_of(OPENAI), ignore)) == ValidDocument(content=DOCUMENT)
    refused = [[each for each in order if each in asked] for asked in server.asked]
    assert refused == [order, order[1:], [], []]


async def test_a_server_that_goes_on_refusing_a_parameter_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = [Answer(status=400, body={"error": {"message": said}}) for said in REFUSALS.values()]
    with model_server(*refusals) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        with pytest.raises(ModelError) as caught:
            await providers.ProviderModel(Options()).complete(asked_of(OPENAI), ignore)
    assert (caught.value.failure_code, len(server.asked)) == (FailureCode.PROVIDER_REJECTED, 3)


async def test_a_server_that_knows_the_older_name_alone_is_told_how_long_an_answer_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with model_server(Answer()) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        await providers.ProviderModel(Options()).complete(asked_of(OPENAI), ignore)
    assert (server.asked[0]["max_tokens"], server.asked[0]["max_completion_tokens"]) == (500, 500)
