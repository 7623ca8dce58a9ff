"""Faults of a definition about who acts on a step that waits for people, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.engine import definition
from workflows.definitions.definition import DefinitionError, WaitPolicy
from workflows.definitions.policies import ApproversPolicy

GATED: dict[str, Any] = {"id": "one", "acceptance": {}}
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({**GATED, "approvers": {"required": "all"}}, "/steps/0/approvers/required", "no_assignees"),
    ({**GATED, "approvers": {"required": 2}, "assignees": ["a"]}, "/steps/0/approvers/required", "too_few_assignees"),
    ({"id": "one", "approvers": {}}, "/steps/0/approvers", "nothing_to_accept"),
    ({**GATED, "assignees": ["a", "b", "a"]}, "/steps/0/assignees/2", "duplicate_assignee"),
    ({**GATED, "remind_seconds_before": 5.0}, "/steps/0/remind_seconds_before", "no_due_date"),
    (
        {**GATED, "due_seconds": 5.0, "remind_seconds_before": 5.0},
        "/steps/0/remind_seconds_before",
        "reminder_too_early",
    ),
]


@pytest.mark.parametrize(("step", "pointer", "code"), FAULTS)
def test_a_fault_has_its_place(step: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition(step)
    assert [(each.pointer, each.code) for each in caught.value.errors] == [(pointer, code)]


@pytest.mark.parametrize("required", [0, 51, "some", 1.5, True])
def test_what_is_no_number_of_votes_is_refused_at_its_place(required: object) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition({**GATED, "approvers": {"required": required}})
    assert {each.pointer for each in caught.value.errors} == {"/steps/0/approvers/required"}


def test_a_step_says_who_and_when() -> None:
    wanted = {"assignees": ["a", "b"], "approvers": {"required": "all", "four_eyes": True}, "due_seconds": 60.0}
    step = definition({**GATED, **wanted, "remind_seconds_before": 10.0}).steps[0]
    approvers = ApproversPolicy(required="all", four_eyes=True)
    assert step.wait == WaitPolicy(
        assignees=("a", "b"), approvers=approvers, due_seconds=60.0, remind_seconds_before=10.0
    )
    assert definition(GATED).content_hash() != definition({**GATED, **wanted}).content_hash()
