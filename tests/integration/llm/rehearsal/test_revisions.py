"""Revisions by the rehearsal model: commented passages change as far as the schema permits, and all else stays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.json_pointer import pointer
from documents.comparison.passages import Anchor, unchanged_elsewhere
from documents.comparison.values import parts_of, resolve, texts_of
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision, PassageComment, Revision
from executions.engine.prompting.replies import SUBMIT_DOCUMENT
from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.revision import revise
from tests.integration.llm.rehearsal.test_rehearsal import BRIEFS, SCHEMAS, STEPS, _reply, _request
from workflows.definitions.definition import StepDefinition, WorkflowDefinition

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title", "cost", "kind", "parts"],
    "properties": {
        "title": {"type": "string", "maxLength": 30},
        "note": {"type": "string", "minLength": 20, "maxLength": 60},
        "cost": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["new", "old", "lost"]},
        "fixed": {"const": 7},
        "parts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"id": {"type": "string", "pattern": "^[a-z]+(-[0-9]+)?$"}, "text": {"type": "string"}},
            },
        },
    },
}
LETTER: dict[str, Any] = {
    "title": "Letter to the council",
    "note": "The counter opens at nine, and it closes at five o'clock.",
    "cost": 12,
    "kind": "new",
    "fixed": 7,
    "parts": [{"id": "doors", "text": "Both doors open. Both doors close."}, {"id": "roof", "text": "It is tight."}],
}


def asking(*comments: PassageComment, comment: str = "", only_commented: bool = True) -> AcceptanceDecision:
    """Return a request for changes."""
    return AcceptanceDecision(
        decision=AcceptanceAction.REQUEST_CHANGES,
        document_version=1,
        comment=comment,
        comments=comments,
        only_commented=only_commented,
        decided_by="ann",
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def revised(content: Any, request: AcceptanceDecision, schema: dict[str, Any] = SCHEMA) -> Any:
    """Return the version after a request for changes; it is valid."""
    generator = DocumentGenerator(Facts(()), root=schema, document_type="letter")
    made = revise(Revision(content=content, request=request), generator, schema=schema)
    assert list(jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(made)) == []
    return made


def on(place: str, text: str = "Say more.", quote: str = "") -> PassageComment:
    return PassageComment(pointer=place, quote=quote, text=text)


def test_a_text_repeats_what_was_said_about_it() -> None:
    made = revised(LETTER, asking(on("/parts/1/text", "Say by whom.")))
    assert made["parts"][1]["text"] == "It is tight. [as asked: Say by whom.]"
    made["parts"][1]["text"] = "It is tight."
    assert made == LETTER


def test_a_text_without_room_gives_way_to_what_was_said_about_it() -> None:
    note = revised(LETTER, asking(on("/note", "Half past.")))["note"]
    assert note.startswith("The counter opens at nine")
    assert "[Half past.]" in note
    assert "[Shorter.]" in revised(LETTER, asking(on("/title", "Shorter.")))["title"]


def test_two_quotes_in_one_text_change_and_what_stands_around_them_stays() -> None:
    first, second = on("/parts/0/text", "Which?", "Both doors"), on("/parts/0/text", "When?", "close")
    made = revised(LETTER, asking(second, first))
    text = "Both doors [as asked: Which?] open. Both doors close [as asked: When?]."
    assert made["parts"][0]["text"] == text


@pytest.mark.parametrize(
    ("place", "said", "value"),
    [
        ("/cost", "It should be 20,000 EUR.", 20_000),
        ("/kind", "It was lost.", "lost"),
        ("/parts/0/id", "Another one.", "doors-2"),
        ("/fixed", "Eight!", 7),  # no other value is valid
    ],
)
def test_other_values_change_to_what_the_schema_permits(place: str, said: str, value: Any) -> None:
    made = revised(LETTER, asking(on(place, said)))
    assert resolve(made, parts_of(place)) == value
    assert unchanged_elsewhere(LETTER, made, [Anchor(place)]) == []


def test_a_remark_about_a_list_changes_one_text_in_it() -> None:
    made = revised(LETTER, asking(on("/parts", "Name the owner.")))
    assert "[as asked: Name the owner.]" in made["parts"][0]["text"]
    assert unchanged_elsewhere(LETTER, made, [Anchor("/parts/0/text")]) == []


@pytest.mark.parametrize(("only_commented", "differs"), [(True, {"/cost"}), (False, {"/cost", "/note"})])
def test_a_general_remark_changes_a_text_unless_only_the_passages_may_change(
    only_commented: bool, differs: set[str]
) -> None:
    request = asking(on("/cost", "13"), comment="Shorter.", only_commented=only_commented)
    made = revised(LETTER, request)
    assert {f"/{name}" for name in LETTER if made[name] != LETTER[name]} == differs


def test_a_remark_cites_no_place() -> None:
    made = revised(LETTER, asking(on("/parts/1/text", "See brief.pdf#page=9")))
    assert "#page" not in json.dumps(made)


@pytest.mark.parametrize(("definition", "step"), STEPS)
async def test_every_document_of_the_catalog_is_revised_at_two_passages(
    definition: WorkflowDefinition, step: StepDefinition
) -> None:
    request = _request(definition, step.model_copy(update={"clarification": None}), BRIEFS["tool-library"])
    made: Any = (await _reply(request)).tool_calls[0].arguments
    sentences = [(parts, text) for parts, text in texts_of(made) if len(text) > 40]
    (whole, _), (quoted, text) = sentences[0], sentences[-1]
    passages = [Anchor(pointer(*whole)), Anchor(pointer(*quoted), text[8:20])]
    comments = [on(each.pointer, "Name a person.", each.quote) for each in passages]
    again = replace(request, revision=Revision(content=made, request=asking(*comments)))
    [call] = (await _reply(again)).tool_calls
    assert call.name == SUBMIT_DOCUMENT
    assert unchanged_elsewhere(made, call.arguments, passages) == []
    for parts in (whole, quoted):
        assert "Name a person." in str(resolve(call.arguments, parts))


@given(schema=SCHEMAS, choose=st.randoms(use_true_random=False))
def test_whatever_the_schema_only_the_passage_changes(schema: dict[str, Any], choose: Any) -> None:
    root: dict[str, Any] = {"type": "object", "properties": {"value": schema}, "required": ["value"]}
    made: Any = DocumentGenerator(Facts(()), root=root, document_type="report").write()
    places = [(), *_places(made)]
    place = pointer(*choose.choice(places))
    after = revised(made, asking(on(place, "Say more.")), root)
    assert unchanged_elsewhere(made, after, [Anchor(place)]) == []


def _places(value: Any) -> list[tuple[str, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(str(name), *rest) for name, each in inner for rest in ((), *_places(each))]
