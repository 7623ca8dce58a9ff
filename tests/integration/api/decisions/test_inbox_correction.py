"""Entries of the inbox that a process of an earlier release has left wrong."""

from __future__ import annotations

from typing import Any

import pytest

from executions.engine.domain.execution import Execution
from executions.models import Execution as ExecutionRow
from executions.models import InboxEntry
from executions.worker import duties
from tests.factories import reports
from tests.factories.callers import Caller
from tests.integration.api.decisions.test_acceptance_api import decide
from tests.integration.api.decisions.test_votes_api import ACCEPT, team, waiting
from tests.integration.api.decisions.test_waiting_api import four

pytestmark = pytest.mark.django_db
__all__ = ["four", "team"]


def stored() -> list[dict[str, Any]]:
    """Return all entries without their ids."""
    return [{**each} for each in InboxEntry.objects.order_by("execution_id", "kind", "step_id").values()]


def without_ids(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in each.items() if name != "id"} for each in rows]


def test_entries_that_are_left_over_are_removed(team: dict[str, Caller]) -> None:
    execution = waiting(team["ada"], required=1)
    kept = waiting(team["ada"])
    [row] = InboxEntry.objects.filter(execution_id=execution.id)
    assert decide(team["ben"], execution, ACCEPT).json()["status"] == "running"
    row.save(force_insert=True)  # as if the earlier release had stored the decision
    assert duties.correct_inbox() == 1
    assert [each["execution_id"] for each in stored()] == [kept.id]
    assert duties.correct_inbox() == 0


def test_missing_entries_are_added_except_dismissed_failures(four: list[Execution]) -> None:
    before = stored()
    assert duties.correct_inbox() == 0 and stored() == before
    InboxEntry.objects.all().delete()
    expected = [each for each in before if each["kind"] != "failure"]
    assert duties.correct_inbox() == len(expected) == 3
    assert without_ids(stored()) == without_ids(expected)
    ExecutionRow.objects.update(status="cancelled")
    assert (duties.correct_inbox(), stored()) == (3, [])


def test_entries_from_before_the_number_of_votes_get_it(team: dict[str, Caller]) -> None:
    execution = waiting(team["ada"], required=2)
    reports.ask(reports.start(team["ada"].user))
    before = stored()
    InboxEntry.objects.filter(execution_id=execution.id).update(required_votes=None, barred=[])
    assert (duties.correct_inbox(), stored()) == (1, before)
