"""Classification of replies."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.domain.calls import ModelReply, ToolCall
from executions.engine.prompting.replies import Questions, Unusable, ValidDocument, Violations, parse_reply
from tests.factories.engine import SCHEMA, document, invalid, question, reply

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
REPLIES = st.builds(
    ModelReply,
    provider=st.just("scripted"),
    model=st.just("m"),
    tool_calls=st.lists(
        st.builds(ToolCall, name=st.sampled_from(["submit_document", "ask_clarification", "other"]), arguments=JSON),
        max_size=2,
    ).map(tuple),
    text=st.text(),
)


@given(given_reply=REPLIES, may_ask=st.booleans())
def test_no_reply_crashes_the_parser_and_only_valid_documents_pass(given_reply: ModelReply, may_ask: bool) -> None:
    outcome = parse_reply(given_reply, schema=SCHEMA, max_questions=3 if may_ask else 0)
    if isinstance(outcome, ValidDocument):
        assert outcome.content["title"]
        assert outcome.content["points"]
    if isinstance(outcome, Questions):
        assert may_ask
    if isinstance(outcome, Violations):
        assert outcome.errors


@given(text=st.text())
def test_prose_never_becomes_a_document_or_a_question(text: str) -> None:
    outcome = parse_reply(reply(text=f"Could you tell me more? {text}"), schema=SCHEMA, max_questions=3)
    assert isinstance(outcome, Violations)


def test_a_document_is_handed_in_by_its_tool() -> None:
    outcome = parse_reply(document("T"), schema=SCHEMA, max_questions=0)
    assert outcome == ValidDocument(content={"title": "T", "points": ["a point"]})


@pytest.mark.parametrize("arguments", [{"title": "T", "points": ["p"]}, '{"title": "T", "points": ["p"]}'])
def test_arguments_may_come_as_text(arguments: object) -> None:
    given_reply = reply(ToolCall(name="submit_document", arguments=arguments))  # type: ignore[arg-type]
    assert isinstance(parse_reply(given_reply, schema=SCHEMA, max_questions=0), ValidDocument)


def test_a_text_that_is_the_whole_document_is_one() -> None:
    text = json.dumps({"title": "T", "points": ["p"]})
    assert isinstance(parse_reply(reply(text=text), schema=SCHEMA, max_questions=0), ValidDocument)


def test_each_violation_says_where_and_what() -> None:
    outcome = parse_reply(invalid(), schema=SCHEMA, max_questions=0)
    assert isinstance(outcome, Violations)
    assert {error.pointer for error in outcome.errors} == {"/title", "/points"}
    assert all(error.detail and error.code for error in outcome.errors)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_the_database_cannot_keep_is_a_violation(text: str) -> None:
    given_reply = reply(ToolCall(name="submit_document", arguments={"title": text, "points": ["p"]}))
    assert isinstance(parse_reply(given_reply, schema=SCHEMA, max_questions=0), Violations)


@pytest.mark.parametrize(
    ("given_reply", "pointer"),
    [
        (question("x"), "/questions/0/text"),
        (question("Which one?", answer_type="single_choice"), "/questions/0/choices"),
        (reply(ToolCall(name="ask_clarification", arguments={"questions": []})), "/questions"),
    ],
)
def test_unanswerable_questions_are_sent_back(given_reply: ModelReply, pointer: str) -> None:
    outcome = parse_reply(given_reply, schema=SCHEMA, max_questions=3)
    assert isinstance(outcome, Violations)
    assert [error.pointer for error in outcome.errors] == [pointer]


def test_two_tools_at_once_are_one_too_many() -> None:
    both = reply(*document().tool_calls, *question().tool_calls)
    assert isinstance(parse_reply(both, schema=SCHEMA, max_questions=3), Violations)


def test_a_refusal_is_taken_for_one() -> None:
    outcome = parse_reply(reply(text="I will not.", finish="refused"), schema=SCHEMA, max_questions=0)  # type: ignore[arg-type]
    assert isinstance(outcome, Unusable)
