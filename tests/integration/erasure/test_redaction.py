"""What is left of values when a name, or all texts, are erased; and what was made from what."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from documents.erasure import VersionLink
from executions.engine.domain import events
from executions.persistence.person_traces import StepLink
from executions.services.erasure.derivation import Derived, derive
from executions.services.erasure.redaction import names_any, without_name, without_texts

A, B = UUID(int=1), UUID(int=2)
E1, E2 = UUID(int=11), UUID(int=12)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ({"requested_by": "ada", "title": "ada"}, {"requested_by": "x", "title": "ada"}),
        ({"assignees": ["bob", "ada"]}, {"assignees": ["bob", "x"]}),
        ({"votes": [{"voted_by": "ada"}, {"voted_by": "bob"}]}, {"votes": [{"voted_by": "x"}, {"voted_by": "bob"}]}),
        ({"answered_by": "ada", "answers": {"a": 1}}, {"answered_by": "x", "answers": {}}),
        (
            {"answered_by": "ada", "answer": "Mine.", "question": "?"},
            {"answered_by": "x", "answer": None, "question": "?"},
        ),
        ({"answered_by": "bob", "answers": {"a": 1}}, {"answered_by": "bob", "answers": {"a": 1}}),
        (
            {"decided_by": "ada", "comment": "Mine.", "comments": [{"text": "Mine."}], "decision": "reject"},
            {"decided_by": "x", "comment": "", "comments": [], "decision": "reject"},
        ),
        ({"edited_by": "ada", "title": "Mine", "note": "Mine."}, {"edited_by": "x", "title": "", "note": ""}),
        ({"edited_by": "adam", "title": "His", "note": ""}, {"edited_by": "adam", "title": "His", "note": ""}),
        ([1, "ada", None], [1, "ada", None]),
    ],
)
def test_a_user_has_another_name_and_has_written_nothing(value: Any, left: Any) -> None:
    assert without_name(value, "ada", "x") == left


def test_no_event_keeps_a_text() -> None:
    """Each field of an event is a text that goes, or has no text; a new field has to be put into one of both."""
    no_text = {
        *("workflow_id", "workflow_version", "scope", "requested_by", "dry_run", "attempt", "role", "model", "inputs"),
        *("verdict", "expires_at", "on_deadline", "answered_by", "document_id", "document_version", "document_type"),
        *("proposed", "vote", "voted_by", "votes", "required", "waiting_on", "due_at", "assignees", "decision"),
        *("only_commented", "decided_by", "base_version", "edited_by", "repeated", "usage", "cost_usd", "failure_code"),
        *("resume_at", "from_step", "limit", "used", "maximum", "budget", "changed_by", "status", "totals"),
    }
    told = {name for kind in events.Event.__subclasses__() for name in events._payload_fields(kind)}  # type: ignore[arg-type]  # a class is hashable
    assert set(without_texts(dict.fromkeys(told, "text"))) == told
    assert {
        name for name, value in without_texts(dict.fromkeys(told, "text")).items() if value == "text"
    } == no_text & told
    assert no_text <= told


@pytest.mark.parametrize(
    ("text", "is_named"), [("ada", True), ("x-ada_pilot", True), ("Ada!", True), ("canada", False), ("adal", False)]
)
def test_a_name_is_a_word(text: str, is_named: bool) -> None:
    assert names_any(text, ["ada"]) is is_named


def link(key: tuple[UUID, int], **values: Any) -> VersionLink:
    given: dict[str, Any] = {"row_id": 0, "execution_id": None, "step_id": None, "base": None, "content_hash": ""}
    given |= {"author_id": None, "is_erased": False, "is_head": False, "file_id": None, "reads": frozenset()}
    return VersionLink(**{**given, "key": key, **values})


def step(execution_id: UUID, **values: Any) -> StepLink:
    given: dict[str, Any] = {"ended": True, "waits": False, "made": None, "reads": frozenset(), "revised": frozenset()}
    given |= {"labelled_after": frozenset()}
    return StepLink(**{**given, "key": (execution_id, "one"), **values})


def test_what_was_made_from_a_version_is_found_through_any_depth() -> None:
    first = link((A, 1), content_hash="h")
    edit, restored, other = link((A, 2), base=(A, 1)), link((A, 3), content_hash="h"), link((A, 4), content_hash="o")
    read = link((B, 1), execution_id=E1, step_id="one", reads=frozenset({(A, 2)}))
    again = link((B, 2), execution_id=E1, step_id="one")
    revised = link((B, 3), execution_id=E2, step_id="one")
    same = link((A, 5), execution_id=E2, step_id="two", content_hash="h")  # a model has written the same again
    steps = [step(E1), step(E2, revised=frozenset({(B, 2)}))]
    found = derive(Derived({first.key: first}), [first, edit, restored, other, read, again, revised, same], steps)
    assert set(found.versions) == {(A, 1), (A, 2), (A, 3), (B, 1), (B, 2), (B, 3)}
    assert set(found.steps) == {(E1, "one"), (E2, "one")}
