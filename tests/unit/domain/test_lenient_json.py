"""Text around the JSON of a model costs no second call, and incomplete JSON never becomes a document."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.engine.domain.calls import ToolCall
from executions.engine.prompting.lenient_json import InvalidJson, find_objects, parse
from executions.engine.prompting.replies import Outcome, ValidDocument, Violations, parse_reply
from tests.factories.engine import SCHEMA, reply

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
        f'{{"document": {TEXT}}}',
        f'Here it is: {{"document": {TEXT}}}',
        f'```json\n{{"submit_document": {TEXT}}}\n```',
        f'{{"answer": {{"submit_document": {TEXT}}}}}',
        f'<tool_call>\n{{"name": "submit_document", "arguments": {TEXT}}}\n</tool_call>',
        json.dumps({"name": "functions.submit_document", "parameters": TEXT}),
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
        "{" * 10_000,
        '{"a":' * 10_000,
        "[" * 10_000,
    ],
)
def test_what_is_not_one_whole_document_becomes_none(text: str) -> None:
    assert isinstance(said(text), Violations)


RAW: dict[str, Any] = {"title": "T", "points": ["one\ntwo\tthree", "a\x01\x1f\x7f", "\r\n"]}


def test_control_characters_in_a_text_are_taken_as_they_stand() -> None:
    written = json.dumps(RAW)
    for character in ("\n", "\t", "\r", "\x01", "\x1f"):
        written = written.replace(json.dumps(character)[1:-1], character)
    assert written.count("\n") == 2
    for outcome in (said(written), handed_in(written), said(f"Here:\n{written}\nThat is all.")):
        assert outcome == ValidDocument(content=RAW)


FAULTS = {
    r'{"title": "C:\new \d+", "points": ["p"]}': ("line 1, column 19", "a backslash in a string is written twice"),
    '{"title": "T",\n "points": [NaN]}': ("line 2, column 13", "no NaN"),
    '{"title": "NaN", "points": [-Infinity]}': ("line 1, column 29", "no NaN and no infinite"),
    '{"title": True, "points": ["p"]}': ("line 1, column 11", "true, false and null"),
    "{\n  'title': 'T'}": ("line 2, column 3", "double quotes"),
    '{"title": “T”}': ("line 1, column 11", "double quotes"),
    '{"title": "T", // or U\n"points": []}': ("line 1, column 16", "no comments"),
    '{"title": "T", /* or U */ "points": []}': ("line 1, column 16", "no comments"),
    '{\n# one\n"title": "T"}': ("line 2, column 1", "no comments"),
    '{"title": "T", "points": ["a", ...]}': ("line 1, column 32", "nothing may be left out"),
    '{"title": "He said "no".", "points": []}': ("line 1, column 21", "a double quote within the string"),
    '{"title": "T", "points": ["p"': ("line 1, column 30", "ends before"),
    '{"title": "T", "points": ["p': ("line 1, column 27", "a string that begins here has no end"),
    '{"title": 0x1F}': ("line 1, column 12", "a comma is missing"),
    '```json\n{"title":\n  None}\n```': ("line 3, column 3", "true, false and null"),
    '{"title": ' + "9" * 5_000 + "}": ("line 1", "more digits"),
    '{"title":' * 10_000: ("line 1", "nested too deep"),
}


@pytest.mark.parametrize(("text", "told"), FAULTS.items(), ids=map(str, range(len(FAULTS))))
def test_what_is_no_json_is_sent_back_with_the_reason_and_its_place(text: str, told: tuple[str, str]) -> None:
    for outcome in (said(text), handed_in(text)):
        assert isinstance(outcome, Violations)
        [error] = outcome.errors
        assert all(each in error.detail for each in told)
        assert len(error.detail) < 500
        assert "submit_document" not in error.detail


def test_the_text_around_a_fault_is_shown_in_a_form_that_can_be_kept() -> None:
    outcome = said('{"title": "a\0\ud800",\n\n "points": oops}')
    assert isinstance(outcome, Violations)
    told = outcome.errors[0].detail
    assert "line 3, column 12: expecting value; near: " in told
    assert '"a\ufffd\ufffd",   "points": oops}' in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no JSON object in it"),
        ("The document is done.", "there is no JSON object in it"),
        (f"One: {TEXT} Two: {json.dumps({**GOOD, 'title': 'U'})}", "there is more than one JSON object in it"),
        ("[1, 2]", "must be one JSON object"),
        ('"text"', "must be one JSON object"),
    ],
)
def test_an_answer_without_a_document_is_told_so_in_words_that_fit_every_way_of_handing_in(
    text: str, reason: str
) -> None:
    outcome = said(text)
    assert isinstance(outcome, Violations)
    assert reason in outcome.errors[0].detail
    assert "call" not in outcome.errors[0].detail
    assert "tool" not in outcome.errors[0].detail


FIELD: dict[str, Any] = {"type": "object", "properties": {"document": {"type": "object"}}, "required": ["document"]}
SHAPES = {
    "a field": FIELD,
    "a field that may be left out": {"type": "object", "properties": {"document": {"type": "object"}}},
    "a reference": {"$ref": "#/$defs/whole", "$defs": {"whole": FIELD}},
    "a part": {"type": "object", "allOf": [FIELD]},
    "a choice": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"oneOf": [FIELD]}}},
    "any field": {"type": "object", "additionalProperties": {"type": "object", "required": ["title"]}},
    "itself": {"$ref": "#", **FIELD},
}


@pytest.mark.parametrize("schema", SHAPES.values(), ids=SHAPES)
def test_a_document_that_has_a_field_of_that_name_is_not_unwrapped(schema: dict[str, Any]) -> None:
    content: dict[str, Any] = {"document": {"title": "T"}}
    written = json.dumps(content)
    by_tool = reply(ToolCall(name="submit_document", arguments=content))
    for given_reply in (reply(text=written), by_tool, reply(text=json.dumps({"answer": {"submit_document": content}}))):
        outcome = parse_reply(given_reply, schema=schema, max_questions=0)
        assert outcome == ValidDocument(content=content)


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "additionalProperties": {"type": "string"}}])
def test_a_document_without_named_fields_is_unwrapped(schema: dict[str, Any]) -> None:
    outcome = parse_reply(reply(text='{"document": {"a": "b"}}'), schema=schema, max_questions=0)
    assert outcome == ValidDocument(content={"a": "b"})


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
    assert find_objects(f"{prose}{written}{prose}") == [value]
    assert find_objects(f"{prose}{written[:-1]} , }}") == [value]


@given(text=st.text(alphabet='{}[]",:\\ \nab1`', max_size=60) | st.text(max_size=60))
def test_no_text_crashes_it_and_what_is_found_stands_in_the_text(text: str) -> None:
    try:
        assert len(find_objects(text)) <= text.count("{")
    except InvalidJson as error:
        assert str(error).startswith("line ")
    try:
        parse(text)
    except InvalidJson:
        assert isinstance(said(text), Violations)


AMBIGUOUS = {
    "cut in a string": (f'For example {TEXT}. My document:\n{{"title": "Real", "points": ["a', "line 2, column 30"),
    "cut after a name": (f'{TEXT}\n\n{{"title"', "line 3, column 9"),
    "cut at its start": (f"{TEXT}\n\n{{", "line 3, column 2"),
    "quotes": (f'{TEXT}\n\n```json\n{{"title": "he said "hi""}}\n```', "line 4, column 21"),
    "no value": (f'{TEXT} \n{{"title": "Real", "points":}}', "line 2, column 28"),
    "one after the other": (f'{TEXT}{{"title": "Real", "points": ["cut', "a string that begins here has no end"),
    "single quotes": (f"{TEXT}\n{{ 'title': 'Real' }}", "line 2, column 3"),
    "no quotes": (f"{TEXT}\n{{title: 'Real'}}", "line 2, column 2"),
    "in other braces": (f'{TEXT}\n{{{{"title": "Real"}}}}', "line 2"),
    "a comment": (f'{TEXT}\n{{ // mine\n"title": "Real"}}', "no comments"),
    "a name twice": (
        f'{TEXT}\n{{"title": "Real", "title": "Other"}}',
        "line 2, column 1: the name 'title' stands twice",
    ),
}


@pytest.mark.parametrize(("text", "told"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_object_before_one_that_is_broken_is_not_taken_for_the_document(text: str, told: str) -> None:
    for outcome in (said(text), handed_in(text)):
        assert isinstance(outcome, Violations)
        assert told in outcome.errors[0].detail


def test_an_object_before_one_that_is_invalid_is_not_taken_for_the_document() -> None:
    outcome = said(f"For example {TEXT}. My document: {json.dumps(INVALID)}")
    assert isinstance(outcome, Violations)
    assert "more than one JSON object" in outcome.errors[0].detail


@pytest.mark.parametrize("after", ["Fill in {name}.", "A set {1, 2}, as said.", "Write { x } or {{ x }}.", "}"])
@pytest.mark.parametrize("before", ["", "Not {'title': 'T'}, but: ", 'Not {"title": }, but: '])
def test_braces_in_prose_behind_a_document_do_not_matter(before: str, after: str) -> None:
    assert said(f"{before}{TEXT}\n{after}") == ValidDocument(content=GOOD)


@pytest.mark.parametrize(
    "text",
    ['{"title": "a", "title": "b", "points": ["p"]}', '{"title": "a", "points": ["p"], "x": [{"y": 1, "y": 1}]}'],
)
def test_a_document_that_has_a_name_twice_is_refused(text: str) -> None:
    for outcome in (said(text), handed_in(text), said(f"Here: {text}")):
        assert isinstance(outcome, Violations)
        assert "stands twice in one object" in outcome.errors[0].detail


LONG = 240_000
SLOW = {
    "escaped quotes in an open string": '{"' + '\\"' * (LONG // 2),
    "escaped quotes and one backslash": '{"' + '\\"' * (LONG // 2) + "\\",
    "escaped quotes without a string": "{" + '\\"' * (LONG // 2),
    "quotes": "{" + '"' * LONG,
    "backslashes": '{"' + "\\" * (LONG - 1),
    "braces": "{ x } " * (LONG // 6),
    "braces on lines": "{\n x }\n" * (LONG // 7),
    "braces in braces": "{" * (LONG // 2) + "}" * (LONG // 2),
    "commas": "{" + "," * LONG + "}",
    "commas and spaces": "{" + " , " * (LONG // 3) + "}",
    "a fence and spaces": "```\n" + " " * LONG + "x",
    "a fence and lines": "```\n" + "\n" * LONG + "x",
    "fences": "```\n" * (LONG // 4),
    "constants": "{" + "-Infinity " * (LONG // 10) + "}",
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW)
def test_the_time_that_a_text_takes_grows_with_its_length_alone(text: str) -> None:
    begun = time.thread_time()
    for outcome in (said(text), handed_in(text)):
        assert isinstance(outcome, Violations)
    assert time.thread_time() - begun < 2
