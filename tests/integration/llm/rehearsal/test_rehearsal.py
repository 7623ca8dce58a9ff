"""The rehearsal model: deterministic, valid, and built from its input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.domain.calls import Material, ModelReply, ModelRequest
from executions.engine.domain.clarification import AnswerType
from executions.engine.prompting.prompts import PromptInputs, build_request
from executions.engine.prompting.replies import Questions, ValidDocument, parse_reply
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.model import RehearsalModel
from tests.e2e.processes import ROOT
from tests.integration.llm.text_listeners import ignore
from workflows.definitions.definition import StepDefinition, WorkflowDefinition
from workflows.loader import folders, load_folder

CATALOG = [load_folder(folder) for folder in folders()]
BRIEFS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "examples" / "briefs").glob("*.md")}
STEPS = [pytest.param(each, step, id=f"{each.id}-{step.id}") for each in CATALOG for step in each.steps]


def _request(definition: WorkflowDefinition, step: StepDefinition, brief: str | None) -> ModelRequest:
    return build_request(
        step_id=step.id,
        step=step,
        role=definition.roles[step.role],
        model="rehearsal:rehearsal",
        inputs=PromptInputs(brief=brief),
        rejected=None,
    )


async def _reply(request: ModelRequest) -> ModelReply:
    return await RehearsalModel(latency_seconds=0).complete(request, ignore)


def _text(reply: ModelReply) -> str:
    return json.dumps(reply.tool_calls[0].arguments, ensure_ascii=False)


@pytest.mark.parametrize(("definition", "step"), STEPS)
@pytest.mark.parametrize("brief", sorted(BRIEFS))
async def test_every_step_of_the_catalog_gets_a_valid_document(
    definition: WorkflowDefinition, step: StepDefinition, brief: str
) -> None:
    request = _request(definition, step.model_copy(update={"clarification": None}), BRIEFS[brief])
    reply = await _reply(request)
    outcome = parse_reply(reply, schema=request.output_schema, max_questions=0)
    assert isinstance(outcome, ValidDocument), outcome
    assert reply == await _reply(request)  # deterministic
    assert reply.cost_usd == 0


async def test_two_briefs_give_different_documents_made_of_their_words() -> None:
    [definition] = [each for each in CATALOG if each.id == "meeting-minutes"]
    tools, pets = [
        _text(await _reply(_request(definition, definition.steps[0], BRIEFS[name])))
        for name in ("tool-library", "veterinary-practices")
    ]
    assert "Bergdorf" in tools
    assert "Bergdorf" not in pets
    assert "veterinary practices" in pets
    assert "veterinary practices" not in tools


async def test_it_asks_about_what_the_brief_leaves_open_with_questions_that_fit() -> None:
    [definition] = [each for each in CATALOG if each.id == "strategy-document"]
    request = _request(definition, definition.step("discovery"), BRIEFS["tool-library"])
    outcome = parse_reply(await _reply(request), schema=request.output_schema, max_questions=request.max_questions)
    assert isinstance(outcome, Questions)
    assert [choice.label for choice in outcome.drafts[0].choices] == [
        "charge a deposit for each loan",
        "introduce a yearly membership fee",
    ]


async def test_it_asks_for_a_file_where_an_attachment_is_open() -> None:
    [definition] = [each for each in CATALOG if each.id == "strategy-document"]
    brief = "# A library\n\nThe budget is 20,000 EUR. It is open which floor plan will be attached."
    request = _request(definition, definition.step("discovery"), brief)
    outcome = parse_reply(await _reply(request), schema=request.output_schema, max_questions=request.max_questions)
    assert isinstance(outcome, Questions)
    assert [each.answer_type for each in outcome.drafts] == [AnswerType.FILE]


async def test_it_asks_nothing_when_nothing_is_open() -> None:
    [definition] = [each for each in CATALOG if each.id == "strategy-document"]
    closed = "# A library\n\nIt lends 400 tools. The budget is 20,000 EUR, and Ms Ode decides everything."
    request = _request(definition, definition.step("discovery"), closed)
    assert (await _reply(request)).tool_calls[0].name == "submit_document"


def _write(schema: dict[str, Any], materials: Sequence[Material]) -> Any:
    return DocumentGenerator(Facts(tuple(materials)), root=schema, document_type="report").write()


def test_an_answer_appears_in_the_document() -> None:
    schema = CATALOG[-1].steps[0].output_schema
    brief = Material(kind="brief", name="brief", text=BRIEFS["tool-library"])
    answer = Material(kind="answer", name="Who decides?", text="Ms Yilmaz alone")
    assert "Ms Yilmaz alone" in json.dumps(_write(schema, [brief, answer]))


def test_ids_are_counted_up_and_found_again() -> None:
    numbered = {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "minItems": 3,
                "maxItems": 3,
                "items": {"type": "object", "properties": {"id": {"type": "string", "pattern": "^REQ-[0-9]{1,3}$"}}},
            }
        },
    }
    brief = Material(kind="brief", name="brief", text=BRIEFS["tool-library"])
    made = _write(numbered, [brief])
    assert [item["id"] for item in made["items"]] == ["REQ-1", "REQ-2", "REQ-3"]
    refers = {"type": "object", "properties": {"about": {"type": "string", "pattern": "^REQ-[0-9]{1,3}$"}}}
    made_of = [brief, Material(kind="document", name="requirements", text=json.dumps(made))]
    assert _write(refers, made_of) == {"about": "REQ-1"}


TEXTS = st.builds(
    lambda low, extra: {"type": "string", "minLength": low, "maxLength": low + extra},
    st.integers(0, 60),
    st.integers(0, 900),
)
NUMBERS = st.builds(
    lambda low, extra: {"type": "integer", "minimum": low, "maximum": low + extra},
    st.integers(-50, 50),
    st.integers(0, 1000),
)
LEAVES = st.one_of(
    TEXTS,
    NUMBERS,
    st.sampled_from(
        [
            {"type": "boolean"},
            {"enum": ["a", "b"]},
            {"const": 7},
            {"type": "null"},
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{2}$"},
            {"type": ["string", "null"]},
        ]
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            lambda items, low, extra: {"type": "array", "items": items, "minItems": low, "maxItems": low + extra},
            inner,
            st.integers(0, 4),
            st.integers(0, 4),
        ),
        st.dictionaries(st.sampled_from(["name", "risk", "count", "kind"]), inner, min_size=1, max_size=4).map(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        ),
        st.lists(inner, min_size=1, max_size=2).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=12,
)


@given(schema=SCHEMAS, brief=st.one_of(st.sampled_from(sorted(BRIEFS.values())), st.text(max_size=200)))
def test_whatever_the_schema_and_the_brief_the_document_is_valid(schema: dict[str, Any], brief: str) -> None:
    made = _write(schema, [Material(kind="brief", name="brief", text=brief)])
    assert list(jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(made)) == []


@pytest.mark.parametrize(("definition", "step"), STEPS)
async def test_every_step_gets_a_valid_document_without_a_brief(
    definition: WorkflowDefinition, step: StepDefinition
) -> None:
    request = _request(definition, step.model_copy(update={"clarification": None}), None)
    outcome = parse_reply(await _reply(request), schema=request.output_schema, max_questions=0)
    assert isinstance(outcome, ValidDocument), outcome


async def test_without_a_brief_it_asks_once_what_it_is_about_and_writes_about_the_answer() -> None:
    definition = next(each for each in CATALOG if each.id == "strategy-document")
    request = _request(definition, definition.steps[0], None)
    outcome = parse_reply(await _reply(request), schema=request.output_schema, max_questions=request.max_questions)
    assert isinstance(outcome, Questions)
    [asked] = outcome.drafts
    assert asked.text.startswith("What is it about?")
    answer = Material(kind="answer", name=asked.text, text="A ferry for the town of Ode.")
    answered = replace(request, materials=(answer,))
    written = parse_reply(await _reply(answered), schema=request.output_schema, max_questions=request.max_questions)
    assert isinstance(written, ValidDocument)
    assert "ferry" in str(written.content["title"])
