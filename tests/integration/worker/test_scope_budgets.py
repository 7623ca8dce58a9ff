"""The monthly budget of a root scope, over all its executions and connections."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.utils import timezone

from access.models import Scope
from access.user import User
from executions.engine.domain.errors import BudgetExceeded
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import ExecutionStatus, Limit, WaitingOn
from executions.persistence import repositories
from executions.worker import duties
from telemetry import spending
from telemetry.models import ModelCall, ScopeBudget
from telemetry.scope_budgets import set_budget
from tests.factories.engine import definition
from tests.factories.executions import start, together
from tests.integration.worker.test_budgets import DIME, begin_paid, started

ONE = definition({"id": "one"})
COUNT = 8


@pytest.fixture(autouse=True)
def known() -> None:
    """What an earlier test has looked up is forgotten."""
    spending.BUDGETED_SCOPES.clear()


def give(amount: str, *, key: str = "p") -> None:
    """Let the scope spend so much in a month."""
    scope = Scope.objects.get(parent=None, key=key)
    ScopeBudget.objects.update_or_create(scope=scope, defaults={"max_cost_usd": Decimal(amount)})
    spending.BUDGETED_SCOPES.clear()


def test_executions_that_begin_at_once_share_their_scopes_month(ann: User) -> None:
    executions = [started(ann, ONE) for _ in range(COUNT)]
    elsewhere = start(ann, ONE, scope="q")
    give("0.50")
    outcomes = together(*(partial(begin_paid, each, "one") for each in executions))
    assert all(isinstance(outcome, Execution) for outcome in outcomes), outcomes
    stored = [repositories.get(each.id) for each in executions]
    waiting = [each for each in stored if each.status is ExecutionStatus.WAITING]
    assert len(waiting) == COUNT - 5
    assert {each.steps["one"].blocked_by_limit for each in waiting} == {Limit.SCOPE_MONTH}
    assert {each.waiting_on for each in waiting} == {(WaitingOn.BUDGET,)}
    assert ModelCall.objects.count() == 5
    assert spending.remaining_budget(executions[0].scope.id, now=timezone.now()) == 0
    assert spending.remaining_budget(elsewhere.scope.id, now=timezone.now()) is None


def test_what_waits_for_its_scope_goes_on_as_far_as_there_is_room_and_no_further(ann: User) -> None:
    executions = [started(ann, ONE) for _ in range(3)]
    give("0")
    for each in executions:
        begin_paid(each, "one")
    assert duties.resume_budget_blocked(now=timezone.now()) == 0
    give("0.25")
    assert duties.resume_budget_blocked(now=timezone.now()) == 2
    statuses = [repositories.get(each.id).status for each in executions]
    assert statuses == [ExecutionStatus.RUNNING, ExecutionStatus.RUNNING, ExecutionStatus.WAITING]
    assert duties.resume_budget_blocked(now=timezone.now()) == 1  # those two have not spent it yet
    ScopeBudget.objects.all().delete()
    assert duties.resume_budget_blocked(now=timezone.now()) == 0


def test_a_new_month_begins_with_the_whole_budget(ann: User) -> None:
    first, second = started(ann, ONE), started(ann, ONE)
    give("0.10")
    begin_paid(first, "one")
    begin_paid(second, "one")
    assert duties.resume_budget_blocked(now=timezone.now()) == 0
    ModelCall.objects.update(started_at=spending.month_start(timezone.now()) - timedelta(seconds=1))
    assert duties.resume_budget_blocked(now=timezone.now()) == 1


def test_nothing_that_costs_money_starts_in_a_scope_that_has_spent_its_month(ann: User) -> None:
    execution = started(ann, ONE)
    give("0.10")
    begin_paid(execution, "one")
    assert started(ann, ONE).status is ExecutionStatus.RUNNING  # the rehearsal is free
    dear = definition({"id": "one", "model": "openai:gpt-5"})
    with pytest.raises(BudgetExceeded):
        started(ann, dear)
    give("0.20")
    assert started(ann, dear).status is ExecutionStatus.RUNNING


def test_sums_are_made_for_scopes_with_a_budget_alone(ann: User) -> None:
    execution = started(ann, ONE)
    assert spending.lock_budgets([execution.scope.id]).value == {}
    give("3")
    assert spending.lock_budgets([execution.scope.id]).value == {execution.scope.id: Decimal(3)}
    assert begin_paid(execution, "one").steps["one"].blocked_by_limit is None
    assert spending.monthly_spending(execution.scope.id, now=timezone.now()).value == DIME


def test_two_first_budgets_at_once_are_two_versions(ann: User) -> None:
    scope_id = started(ann, ONE).scope.id
    for _ in range(5):
        ScopeBudget.objects.all().delete()
        amounts = (Decimal(5), Decimal(7))
        stored = together(
            *(
                partial(set_budget, scope_id, max_cost_usd=each, expected_versions=None, now=timezone.now())
                for each in amounts
            )
        )
        assert sorted(each.version for each in stored) == [1, 2]  # type: ignore[attr-defined]
        assert ScopeBudget.objects.get().version == 2
