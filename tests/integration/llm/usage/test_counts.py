"""Token counts of providers over real HTTP: each counted once and exactly, or unknown."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from executions.engine.domain.calls import ModelReply, Usage
from executions.engine.domain.errors import ModelError
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import Answer, Line, Misbehaviour, model_server
from tests.integration.llm.text_listeners import ignore
from tests.integration.llm.usage.counted_answers import ANTHROPIC, GOOGLE, OPENAI, RESPONSES, answer

pytestmark = pytest.mark.usefixtures("keys")

STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


async def reply(monkeypatch: pytest.MonkeyPatch, model: str, *said: Line, streaming: bool | None = None) -> ModelReply:
    """Return the reply of a model that says this, one line for each request."""
    if streaming is None:
        streaming = isinstance(said[-1], Answer) and said[-1].type == "text/event-stream"
    with model_server(*said) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        return await providers.ProviderModel(Options(streaming=streaming)).complete(request_to(model), ignore)


def numbers(found: ModelReply) -> tuple[int, ...]:
    """Return the buckets: input, cache reads, cache writes, output, reasoning."""
    return tuple(found.usage.model_dump().values())


def chat(sent: int, written: int, **details: Any) -> dict[str, Any]:
    """Return a count as OpenAI's chat has it."""
    return {"prompt_tokens": sent, "completion_tokens": written, "total_tokens": sent + written, **details}


def sent_and(**more: Any) -> dict[str, Any]:
    """Return a count as Google has it."""
    return {"promptTokenCount": 1000, **more}


DETAILS = {"prompt_tokens_details": {"cached_tokens": 400}}
RUNNING = {
    "in each chunk": (
        OPENAI,
        [chat(1000, number) for number in range(0, 201, 10)],
        (1000, 0, 0, 200, 0),
        "0.0032500000",
    ),
    "when it finishes, and again": (OPENAI, [chat(1000, 200), chat(1000, 200)], (1000, 0, 0, 200, 0), "0.0032500000"),
    "details once": (
        OPENAI,
        [chat(1000, 100, **DETAILS), chat(1000, 200)],
        (600, 400, 0, 200, 0),
        "0.0028000000",
    ),
    "zeros at the end": (OPENAI, [chat(1000, 200), chat(0, 0)], (1000, 0, 0, 200, 0), "0.0032500000"),
    "Anthropic, three times": (
        ANTHROPIC,
        [
            {"input_tokens": 1000, "output_tokens": 1},
            {"input_tokens": 1000, "output_tokens": 100},
            {"output_tokens": 200},
        ],
        (1000, 0, 0, 200, 0),
        "0.0040000000",
    ),
    "Google, in each chunk": (
        GOOGLE,
        [
            sent_and(totalTokenCount=1000),
            sent_and(candidatesTokenCount=50, thoughtsTokenCount=50, totalTokenCount=1100),
            sent_and(candidatesTokenCount=150, thoughtsTokenCount=50, totalTokenCount=1200),
        ],
        (1000, 0, 0, 200, 50),
        "0.0032500000",
    ),
}


@pytest.mark.parametrize(("model", "reported", "wanted", "dollars"), RUNNING.values(), ids=RUNNING)
async def test_a_running_total_counts_once(
    monkeypatch: pytest.MonkeyPatch, model: str, reported: list[dict[str, Any]], wanted: tuple[int, ...], dollars: str
) -> None:
    found = await reply(monkeypatch, model, answer(model, *reported, streaming=True))
    assert (numbers(found), f"{found.cost_usd:f}", found.usage_known) == (wanted, dollars, True)


def is_unknown(found: ModelReply) -> bool:
    """Whether nothing is known of what a call used, though it has its document."""
    assert [call.name for call in found.tool_calls] == ["submit_document"]
    return (found.usage_known, found.usage, found.cost_usd) == (False, Usage(), None)


async def test_a_count_that_falls_is_no_total_and_none_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    increments = answer(OPENAI, chat(1000, 20), chat(0, 30), chat(0, 10), streaming=True)
    assert is_unknown(await reply(monkeypatch, OPENAI, increments))


REASONING = {"completion_tokens_details": {"reasoning_tokens": 150}}
AGREEING = {
    "reasoning apart": (
        OPENAI,
        {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1200, **REASONING},
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "reasoning apart, and less of it": (
        OPENAI,
        {"prompt_tokens": 1000, "completion_tokens": 160, "total_tokens": 1310, **REASONING},
        (1000, 0, 0, 310, 150),
        "0.0043500000",
    ),
    "reasoning within": (
        OPENAI,
        {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200, **REASONING},
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "no total": (
        OPENAI,
        {"prompt_tokens": 1000, "completion_tokens": 200, **REASONING},
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "a whole number with a point": (
        OPENAI,
        chat(1000, 200) | {"completion_tokens": 200.0},
        (1000, 0, 0, 200, 0),
        "0.0032500000",
    ),
    "cached, as DeepSeek says it": (
        OPENAI,
        chat(1000, 200, prompt_cache_hit_tokens=400, prompt_cache_miss_tokens=600),
        (600, 400, 0, 200, 0),
        "0.0028000000",
    ),
    "responses, reasoning apart": (
        RESPONSES,
        {
            "input_tokens": 1000,
            "output_tokens": 50,
            "total_tokens": 1200,
            "output_tokens_details": {"reasoning_tokens": 150},
        },
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "Google, thoughts apart": (
        GOOGLE,
        sent_and(candidatesTokenCount=50, thoughtsTokenCount=150, totalTokenCount=1200),
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "Google, thoughts within": (
        GOOGLE,
        sent_and(candidatesTokenCount=200, thoughtsTokenCount=150, totalTokenCount=1200),
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "Google, tools apart": (
        GOOGLE,
        sent_and(candidatesTokenCount=200, toolUsePromptTokenCount=100, totalTokenCount=1300),
        (1100, 0, 0, 200, 0),
        "0.0033750000",
    ),
    "Google, no total": (
        GOOGLE,
        sent_and(candidatesTokenCount=50, thoughtsTokenCount=150),
        (1000, 0, 0, 200, 150),
        "0.0032500000",
    ),
    "Anthropic, beside": (
        ANTHROPIC,
        {"input_tokens": 500, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 100, "output_tokens": 200},
        (500, 400, 100, 200, 0),
        "0.0032900000",
    ),
}


@STREAMING
@pytest.mark.parametrize(("model", "reported", "wanted", "dollars"), AGREEING.values(), ids=AGREEING)
async def test_the_total_says_what_stands_apart(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    reported: dict[str, Any],
    wanted: tuple[int, ...],
    dollars: str,
    streaming: bool,
) -> None:
    found = await reply(monkeypatch, model, answer(model, reported, streaming=streaming))
    assert (numbers(found), f"{found.cost_usd:f}") == (wanted, dollars)


CONTRADICTORY = {
    "more reasoning than output": (
        OPENAI,
        {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, **REASONING},
    ),
    "more reasoning than output, no total": (OPENAI, {"prompt_tokens": 1000, "completion_tokens": 50, **REASONING}),
    "more cached than read": (OPENAI, chat(1000, 200, prompt_tokens_details={"cached_tokens": 1001})),
    "a total too small": (OPENAI, chat(1000, 200) | {"total_tokens": 1199}),
    "a total too large": (OPENAI, chat(1000, 200) | {"total_tokens": 1201}),
    "negative": (OPENAI, chat(1000, 200, prompt_tokens_details={"cached_tokens": -1})),
    "a fraction": (OPENAI, {"prompt_tokens": 1000, "completion_tokens": 200.5}),
    "a boolean": (OPENAI, {"prompt_tokens": 1000, "completion_tokens": True}),
    "a text": (OPENAI, chat(1000, 200) | {"completion_tokens": "200"}),
    "a text within": (OPENAI, chat(1000, 200, completion_tokens_details={"reasoning_tokens": "50"})),
    "responses, a fraction": (RESPONSES, {"input_tokens": 1000, "output_tokens": 200.5}),
    "responses, a text": (RESPONSES, {"input_tokens": "1000", "output_tokens": 200}),
    "Anthropic, a boolean": (ANTHROPIC, {"input_tokens": 1000, "output_tokens": True}),
    "Anthropic, a text": (ANTHROPIC, {"input_tokens": "many", "output_tokens": 200}),
    "Anthropic, a fraction": (ANTHROPIC, {"input_tokens": 1000.5, "output_tokens": 200}),
    "Google, negative": (GOOGLE, sent_and(candidatesTokenCount=-200)),
    "Google, a boolean": (GOOGLE, sent_and(candidatesTokenCount=True)),
    "more than can be": (OPENAI, {"prompt_tokens": 1000, "completion_tokens": 10**17}),
    "one number with two values": (OPENAI, chat(1000, 200, **DETAILS, prompt_cache_hit_tokens=300)),
    "responses, more cached than read": (
        RESPONSES,
        {
            "input_tokens": 1000,
            "output_tokens": 200,
            "total_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 2000},
        },
    ),
    "Anthropic, negative": (ANTHROPIC, {"input_tokens": 1000, "cache_read_input_tokens": -5, "output_tokens": 200}),
    "Anthropic, more thoughts than output": (
        ANTHROPIC,
        {"input_tokens": 1000, "output_tokens": 200, "output_tokens_details": {"thinking_tokens": 201}},
    ),
    "Anthropic, parts of the cache": (
        ANTHROPIC,
        {
            "input_tokens": 1000,
            "output_tokens": 200,
            "cache_creation_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 60},
        },
    ),
    "Google, more cached than read": (GOOGLE, sent_and(candidatesTokenCount=200, cachedContentTokenCount=1001)),
    "Google, a total too small": (GOOGLE, sent_and(candidatesTokenCount=200, totalTokenCount=1100)),
}


#: In the middle of a stream the libraries add up; one of each language is enough for that.
_STREAMED = ("more reasoning than output", "a text within", "Anthropic, a text", "Google, a total too small")


@pytest.mark.filterwarnings("ignore:Failed to extract usage", "ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("model", "reported", "streaming"),
    [
        *(pytest.param(*case, False, id=name) for name, case in CONTRADICTORY.items()),
        *(pytest.param(*CONTRADICTORY[name], True, id=f"{name}, streamed") for name in _STREAMED),
    ],
)
async def test_a_count_that_contradicts_itself_is_not_known(
    monkeypatch: pytest.MonkeyPatch, model: str, reported: dict[str, Any], streaming: bool
) -> None:
    assert is_unknown(await reply(monkeypatch, model, answer(model, reported, streaming=streaming)))


WRITTEN = {
    "input_tokens": 500,
    "cache_creation_input_tokens": 500,
    "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300},
    "output_tokens": 200,
}
PLAIN = (OPENAI, chat(1000, 200), (1000, 0, 0, 200, 0))
SAID = {"input_tokens": 1000, "output_tokens": 200}
TERMS = {
    "default": (*PLAIN, {"service_tier": "default"}, "0.0032500000"),
    "on_demand": (*PLAIN, {"service_tier": "on_demand"}, "0.0032500000"),
    "none": (*PLAIN, {"service_tier": None}, "0.0032500000"),
    "priority": (*PLAIN, {"service_tier": "priority"}, "0.0065000000"),
    "flex": (*PLAIN, {"service_tier": "flex"}, "0.0016250000"),
    "batch": (*PLAIN, {"service_tier": "batch"}, "0.0016250000"),
    "scale": (*PLAIN, {"service_tier": "scale"}, None),
    "a tier that has no name yet": (*PLAIN, {"service_tier": "turbo"}, None),
    "responses": (
        RESPONSES,
        {**SAID, "total_tokens": 1200},
        (1000, 0, 0, 200, 0),
        {"service_tier": "priority"},
        "0.0065000000",
    ),
    "Anthropic, standard": (ANTHROPIC, {**SAID, "service_tier": "standard"}, (1000, 0, 0, 200, 0), {}, "0.0040000000"),
    "Anthropic, priority": (ANTHROPIC, {**SAID, "service_tier": "priority"}, (1000, 0, 0, 200, 0), {}, None),
    "Anthropic, batch": (ANTHROPIC, {**SAID, "service_tier": "batch"}, (1000, 0, 0, 200, 0), {}, "0.0020000000"),
    "Anthropic, kept for an hour": (ANTHROPIC, WRITTEN, (500, 0, 500, 200, 0), {}, "0.0047000000"),
    "Anthropic, in one country": (ANTHROPIC, {**SAID, "inference_geo": "us"}, (1000, 0, 0, 200, 0), {}, None),
    "Anthropic, searched": (
        ANTHROPIC,
        {**SAID, "server_tool_use": {"web_search_requests": 3}},
        (1000, 0, 0, 200, 0),
        {},
        "0.0340000000",
    ),
    "Anthropic, a tool of its own": (
        ANTHROPIC,
        {**SAID, "server_tool_use": {"code_execution_requests": 1}},
        (1000, 0, 0, 200, 0),
        {},
        None,
    ),
    "Google, on demand": (
        GOOGLE,
        sent_and(candidatesTokenCount=200, trafficType="ON_DEMAND"),
        (1000, 0, 0, 200, 0),
        {},
        "0.0032500000",
    ),
    "Google, provisioned": (
        GOOGLE,
        sent_and(candidatesTokenCount=200, trafficType="PROVISIONED_THROUGHPUT"),
        (1000, 0, 0, 200, 0),
        {},
        None,
    ),
}


@STREAMING
@pytest.mark.parametrize(("model", "reported", "wanted", "more", "dollars"), TERMS.values(), ids=TERMS)
async def test_a_tier_has_its_own_price_or_none_that_is_known(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    reported: dict[str, Any],
    wanted: tuple[int, ...],
    more: dict[str, Any],
    dollars: str | None,
    streaming: bool,
) -> None:
    found = await reply(monkeypatch, model, answer(model, reported, streaming=streaming, **more))
    assert (numbers(found), found.usage_known) == (wanted, True)
    assert found.cost_usd == (None if dollars is None else Decimal(dollars))


@STREAMING
async def test_a_tier_in_a_header_counts_as_well(monkeypatch: pytest.MonkeyPatch, streaming: bool) -> None:
    headers = {"x-gemini-service-tier": "PRIORITY"}
    said = answer(GOOGLE, sent_and(candidatesTokenCount=200), streaming=streaming, headers=headers)
    found = await reply(monkeypatch, GOOGLE, said)
    assert (found.cost_usd, found.billing) == (None, {"tiers": ["priority"]})


REFUSED: dict[str, Any] = {"error": {"message": "Unsupported parameter: 'parallel_tool_calls'."}}
BEFORE = {
    "a tier in a header": Answer(status=400, body=REFUSED, headers={"x-gemini-service-tier": "flex"}),
    "a tier": Answer(status=400, body={**REFUSED, "service_tier": "flex"}),
    "a count": Answer(status=400, body={**REFUSED, "usage": chat(5000, 9)}),
    "a count in a stream": Answer(
        status=400,
        body=f"data: {json.dumps({**REFUSED, 'usage': chat(5000, 9), 'service_tier': 'flex'})}\n\n",
        type="text/event-stream",
    ),
}


@STREAMING
@pytest.mark.parametrize("refusal", BEFORE.values(), ids=BEFORE)
async def test_what_came_with_a_refused_request_does_not_count(
    monkeypatch: pytest.MonkeyPatch, refusal: Answer, streaming: bool
) -> None:
    said = answer(OPENAI, chat(1000, 200), streaming=streaming)
    found = await reply(monkeypatch, OPENAI, refusal, said)
    assert (found.usage_known, numbers(found), found.billing) == (True, (1000, 0, 0, 200, 0), {})
    assert found.cost_usd == Decimal("0.0032500000")


async def test_the_reason_of_a_refusal_is_not_that_of_an_answer_that_broke_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="stopped in the middle"):
        await reply(monkeypatch, OPENAI, BEFORE["a count in a stream"], Misbehaviour.BREAK_OFF, streaming=True)
