"""What models write around their JSON costs no second call, and nothing that is not all there becomes a document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.calls import ToolCall
from executions.engine.loose_json import NotJson, objects_in, parse
from executions.engine.replies import Outcome, ValidDocument, Violations, parse_reply
from tests.engine.world import SCHEMA, reply

GOOD: dict[str, Any] = {"title": "T", "points": ["a, }", 'b ] " ```json {', "c\\"]}
TEXT = json.dumps(GOOD)
INVALID = {"title": "", "points": []}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([",}", ',]"', "```", '"', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def said(text: str) -> Outcome:
    """Return what a reply without a tool is taken for."""
    return parse_reply(reply(text=text), schema=SCHEMA, max_questions=0)


def handed_in(arguments: str) -> Outcome:
    """Return what these arguments of the tool are taken for."""
    call = ToolCall(name="submit_document", arguments=arguments)
    return parse_reply(reply(call), schema=SCHEMA, max_questions=0)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\ufeff{TEXT}",
        f"\n\n  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"```\n{TEXT}\n```\n",
        f"{TEXT[:-2]},]}}",
        f"{TEXT[:-1]}\n,\n}}",
        f"Here is the document:\n\n```json\n{TEXT}\n```\n\nTell me if it should be longer.",
        f"Sure! {TEXT} I hope that helps.",
        f'He said "no {{braces}}" first. {TEXT[:-1]},}}',
        f"An example of what is wrong: {json.dumps(INVALID)}. And now: {TEXT}",
    ],
)
def test_what_is_written_around_a_document_is_taken_away(text: str) -> None:
    for outcome in (said(text), *([handed_in(text)] if "wrong" not in text and "braces" not in text else [])):
        assert outcome == ValidDocument(content=GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The document is done.",
        TEXT[:-1],
        f"Here it is: {TEXT[:-3]}",
        f'{{"draft": {TEXT}',
        f'{{"draft": {TEXT}, oops}}',
        f"One: {TEXT} Two: {json.dumps({**GOOD, 'title': 'U'})}",
        f"[{TEXT}]",
        f'Wrapped: {{"document": {TEXT}}}',
        "{" * 10_000,
        '{"a":' * 10_000,
        "[" * 10_000,
    ],
)
def test_what_is_not_one_whole_document_becomes_none(text: str) -> None:
    assert isinstance(said(text), Violations)


def test_a_document_that_is_invalid_is_told_what_is_wrong_with_it_also_in_a_fence() -> None:
    outcome = said(f"```json\n{json.dumps(INVALID)}\n```")
    assert isinstance(outcome, Violations)
    assert {each.pointer for each in outcome.errors} == {"/title", "/points"}


@given(value=VALUES, ahead=st.sampled_from(["", "\ufeff", "```json\n", " \n"]))
def test_every_value_comes_back_as_it_was_written(value: Any, ahead: str) -> None:
    after = "\n```" if ahead.startswith("```") else ""
    assert parse(f"{ahead}{json.dumps(value)}{after}") == value
    assert parse(f"{ahead}{json.dumps(value, ensure_ascii=False, indent=1)}{after}") == value


@given(value=st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=3), prose=st.text(max_size=30))
def test_an_object_is_found_amid_prose_that_has_no_braces_and_with_a_comma_too_many(value: Any, prose: str) -> None:
    prose = prose.replace("{", "(")
    written = json.dumps(value)
    assert list(objects_in(f"{prose}{written}{prose}")) == [value]
    assert list(objects_in(f"{prose}{written[:-1]} , }}")) == [value]


@given(text=st.text(alphabet='{}[]",:\\ \nab1`', max_size=60) | st.text(max_size=60))
def test_no_text_crashes_it_and_what_is_found_stands_in_the_text(text: str) -> None:
    found = list(objects_in(text))
    assert len(found) <= text.count("{")
    try:
        parse(text)
    except NotJson:
        assert isinstance(said(text), Violations)
