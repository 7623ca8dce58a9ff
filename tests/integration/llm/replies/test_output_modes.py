"""Output modes: by tool, by the provider's schema enforcement, or by prompt only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from llmock.testing import LLMockServer
from pydantic import JsonValue
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel
from pydantic_ai.profiles import ModelProfile

from executions.engine.domain.calls import ModelReply, ModelRequest
from executions.engine.prompting.replies import ValidDocument, parse_reply
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options, Output
from executions.llm.pydantic_ai.requests import output_of
from tests.integration.llm import wire_formats
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import DOCUMENT, Answer, model_server
from tests.integration.llm.models import forget_models
from tests.integration.llm.text_listeners import ignore
from workflows.loader import load_catalog

pytestmark = pytest.mark.usefixtures("keys")

OPENAI, ANTHROPIC, GOOGLE = "openai:gpt-5", "anthropic:claude-sonnet-5-5", "google:gemini-3.8-flash"
TEXT = json.dumps(DOCUMENT)
SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
    "required": ["title", "points"],
    "additionalProperties": False,
}


def asked_of(model: str, *, questions: int = 0) -> ModelRequest:
    """Return a request for a document with points."""
    return replace(request_to(model), output_schema=SCHEMA, max_questions=questions)


def _with(profile: ModelProfile) -> Model:
    return TestModel(profile=profile)


ALL, NO_SCHEMAS = ModelProfile(supports_json_schema_output=True), ModelProfile(supports_json_schema_output=False)
NO_TOOLS = ModelProfile(supports_tools=False, supports_json_schema_output=True)
NOTHING = ModelProfile(supports_tools=False, supports_json_schema_output=False)


@pytest.mark.parametrize(
    ("profile", "wanted", "questions", "output"),
    [
        (ALL, None, 0, Output.SHARED_TOOLS),
        (ALL, Output.TOOLS, 0, Output.TOOLS),
        (ALL, Output.NATIVE, 0, Output.NATIVE),
        (ALL, Output.NATIVE, 2, Output.NATIVE),
        (ALL, Output.PROMPTED, 2, Output.PROMPTED),
        (NO_SCHEMAS, Output.NATIVE, 0, Output.TOOLS),
        (NO_TOOLS, None, 0, Output.NATIVE),
        (NO_TOOLS, Output.TOOLS, 2, Output.NATIVE),
        (NOTHING, None, 0, Output.PROMPTED),
        (NOTHING, Output.NATIVE, 2, Output.PROMPTED),
    ],
)
def test_the_way_is_what_is_wanted_or_the_best_of_what_the_model_has(
    profile: ModelProfile, wanted: Output | None, questions: int, output: Output
) -> None:
    assert output_of(asked_of(ANTHROPIC, questions=questions), _with(profile), wanted=wanted) is output


def test_a_server_of_ones_own_sells_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    assert output_of(asked_of(OPENAI), _with(ALL), wanted=None) is Output.TOOLS


async def _asked(
    monkeypatch: pytest.MonkeyPatch, model: str, output: Output, said: dict[str, Any]
) -> tuple[dict[str, Any], ModelReply]:
    """Return what a server is sent, and the reply that its answer comes to."""
    with model_server(Answer(streamed=said)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        reply = await providers.ProviderModel(Options(output=output)).complete(asked_of(model), ignore)
        [body] = server.asked
    return body, reply


def _is_document(reply: ModelReply) -> bool:
    outcome = parse_reply(reply, schema=SCHEMA, max_questions=0)
    return isinstance(outcome, ValidDocument) and outcome.content == DOCUMENT


def _in_words(model: str) -> dict[str, Any]:
    if model == OPENAI:
        said = wire_formats.completion("", {})
        message = {"role": "assistant", "content": TEXT}
        return {**said, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    return {**wire_formats.message("", {}), "stop_reason": "end_turn", "content": [{"type": "text", "text": TEXT}]}


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_the_provider_holds_the_answer_to_the_schema(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    body, reply = await _asked(monkeypatch, model, Output.NATIVE, _in_words(model))
    held = body["response_format"]["json_schema"] if model == OPENAI else body["output_config"]["format"]
    assert held["schema"]["properties"]["points"]["type"] == "array"
    assert not body.get("tools")
    assert "There are no tools here" in json.dumps(body)
    assert _is_document(reply)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_the_prompt_asks_for_it_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    body, reply = await _asked(monkeypatch, model, Output.PROMPTED, _in_words(model))
    assert not body.get("tools")
    assert "json_schema" not in json.dumps([body.get("response_format"), body.get("output_config")])
    assert "There are no tools here" in json.dumps(body)
    assert _is_document(reply)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_tool_has_the_schema(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    said = (wire_formats.completion if model == OPENAI else wire_formats.message)("submit_document", DOCUMENT)
    body, reply = await _asked(monkeypatch, model, Output.TOOLS, said)
    [tool] = body["tools"]
    schema = tool["function"]["parameters"] if model == OPENAI else tool["input_schema"]
    assert schema["properties"]["points"]["type"] == "array"
    assert "There are no tools here" not in json.dumps(body)
    assert _is_document(reply)


@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC])
async def test_a_tool_that_all_steps_share_has_no_schema_of_any(monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    said = (wire_formats.completion if model == OPENAI else wire_formats.message)(
        "submit_document", {"document": DOCUMENT}
    )
    body, reply = await _asked(monkeypatch, model, Output.SHARED_TOOLS, said)
    [tool] = body["tools"]
    assert "points" not in json.dumps(tool)
    assert _is_document(reply)


@pytest.fixture
async def others(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A server that others wrote; it answers with JSON that fits a schema which it is sent, or by its tools."""
    with LLMockServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url("openai"))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url("anthropic"))
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.base_url("gemini"))
        yield
        await forget_models()


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("output", [Output.TOOLS, Output.NATIVE])
async def test_google_is_asked_in_its_own_language(output: Output, streaming: bool) -> None:
    heard: list[str] = []
    options = Options(output=output, streaming=streaming)
    reply = await providers.ProviderModel(options).complete(asked_of(GOOGLE), heard.append)
    outcome = parse_reply(reply, schema=SCHEMA, max_questions=0)
    assert isinstance(outcome, ValidDocument)
    assert [call.name for call in reply.tool_calls] == ["submit_document"] * (output is Output.TOOLS)
    assert (reply.provider, reply.model) == tuple(GOOGLE.split(":"))
    assert reply.cost_usd is not None
    assert bool(heard) is streaming
    if streaming:
        assert json.loads("".join(heard)) == outcome.content


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("output", [Output.TOOLS, Output.NATIVE])
@pytest.mark.parametrize("model", [OPENAI, ANTHROPIC, GOOGLE])
@pytest.mark.parametrize("questions", [pytest.param(0, marks=pytest.mark.torture), 2])
async def test_each_schema_that_ships_can_be_sent_to_each_provider(model: str, output: Output, questions: int) -> None:
    schemas = [step.output_schema for line in load_catalog().definitions for step in line.steps]
    for schema in schemas:
        asked = replace(asked_of(model, questions=questions), output_schema=schema)
        await providers.ProviderModel(Options(output=output)).complete(asked, ignore)
    assert len(schemas) > 8
