"""Sums over the ledger: an unknown part makes the sum unknown, and no call counts twice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from uuid_utils.compat import uuid7

from access.user import User
from telemetry import selectors
from telemetry.selectors import Totals
from tests.factories.calls import REPLY, TOKENS, announce, answered, call

pytestmark = pytest.mark.django_db


def test_no_calls_cost_nothing_for_certain() -> None:
    found = selectors.execution_totals(uuid7())
    assert found == Totals()
    assert (found.cost_usd, found.cost_complete, found.cost_final) == (Decimal(0), True, True)


def test_steps_add_up_to_their_execution(alice: User) -> None:
    execution = answered(alice)
    answered(alice, execution_id=execution, attempt=2, kind="remediate", cost_usd=Decimal("0.01"))
    answered(alice, execution_id=execution, step_id="summary", cost_usd=Decimal("0.0000000001"))
    answered(alice)
    whole = selectors.execution_totals(execution)
    parts = [selectors.step_totals(execution, step) for step in ("research", "summary")]
    assert (whole.calls, whole.total_tokens, whole.cost_usd) == (3, 3 * TOKENS, Decimal("0.0112000001"))
    assert (whole.reasoning_tokens, whole.output_tokens) == (15, 60)
    assert selectors.add_totals(parts) == whole
    assert selectors.add_totals(map(selectors.total_of_call, selectors.calls_of(execution))) == whole
    assert selectors.totals_by_execution(selectors.sums_query(execution)) == {execution: whole}


@pytest.mark.parametrize(
    ("other", "complete", "final"),
    [
        ({**REPLY, "cost_usd": None}, False, True),
        ({**REPLY, "cost_usd": Decimal(0)}, True, True),
        ({"status": "pending"}, False, False),
        ({"status": "pending", "estimated_cost_usd": Decimal(0)}, True, False),
        ({"status": "unknown", "estimated_cost_usd": Decimal("0.5")}, False, True),
        ({"status": "unknown", "estimated_cost_usd": Decimal(0)}, True, True),
        ({"status": "unknown"}, False, True),
        ({"status": "discarded"}, False, True),
        ({**REPLY, "status": "discarded"}, True, True),
        ({"status": "failed"}, True, True),
    ],
)
def test_a_cost_that_is_not_known_is_no_zero(alice: User, other: dict[str, Any], complete: bool, final: bool) -> None:
    execution = answered(alice)
    announce(call(alice, execution_id=execution, attempt=2, **other))
    whole = selectors.execution_totals(execution)
    assert (whole.cost_complete, whole.cost_final) == (complete, final)
    assert whole.cost_usd == (whole.known_cost_usd if complete else None)
    assert whole.known_cost_usd >= REPLY["cost_usd"]
    assert selectors.add_totals(map(selectors.total_of_call, selectors.calls_of(execution))) == whole


def test_sums_of_many_executions_take_one_query(alice: User, django_assert_num_queries: Any) -> None:
    executions = [answered(alice, cost_usd=Decimal(number)) for number in range(3)]
    with django_assert_num_queries(1):
        found = selectors.totals_by_execution(selectors.sums_query(*executions, uuid7()))
    assert {key: each.cost_usd for key, each in found.items()} == dict(
        zip(executions, map(Decimal, range(3)), strict=True)
    )


def test_usage_of_a_workflow_is_that_of_calls_that_the_reader_may_see(alice: User, bob: User) -> None:
    execution = answered(alice)
    answered(alice, execution_id=execution, attempt=2, kind="remediate")
    answered(alice, execution_id=execution, step_id="summary")
    answered(alice, workflow_id="other", kind="remediate")
    answered(alice, dry_run=True)
    found = selectors.usage_of_workflow(user=alice, workflow_id="report")
    assert (found.totals.calls, found.steps, found.remediated_steps) == (3, 2, 1)
    unseen = selectors.usage_of_workflow(user=bob, workflow_id="report")
    assert (unseen.totals, unseen.steps, unseen.remediated_steps) == (Totals(), 0, 0)


def test_providers_that_an_execution_asked_are_named(alice: User) -> None:
    execution = answered(alice)
    answered(alice, execution_id=execution, step_id="summary", requested_model="rehearsal:rehearsal")
    assert selectors.providers_of(selectors.requested_models(execution, uuid7())) == {
        execution: {"scripted", "rehearsal"}
    }


def test_sums_by_tag_and_user_find_names_however_they_are_spelled(alice: User) -> None:
    answered(alice, tags=["caf\u00e9"])
    answered(alice)
    zone = ZoneInfo("UTC")
    assert selectors.summary(user=alice, tz=zone, tag="cafe\u0301").totals.calls == 1
    assert selectors.summary(user=alice, tz=zone, started_by="\uff41lice").totals.calls == 2
