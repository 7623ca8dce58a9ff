"""What budgets of the month have spent is the sum of the ledger, whether hours are rolled up or not."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.user import User
from telemetry.models import ModelCall, RollupState, ScopeBudget
from telemetry.rollups.seal import seal
from telemetry.scope_budgets import spent_in_month, visible_budgets
from telemetry.spending import monthly_spending
from tests.factories.calls import announce, answered, call, scope_of

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def settled(transactional_db: None) -> None:
    """All transactions that wrote before now have ended: other tests may run on the same server."""
    RollupState.objects.create(id=1, settled_until=timezone.now())


@pytest.mark.parametrize("sealed", [False, True])
def test_it_is_the_sum_of_the_ledger(alice: User, settled: None, sealed: bool) -> None:
    known, unknown, running, empty = (scope_of(alice, key) for key in ("known", "unknown", "running", "empty"))
    for day in (1, 2, 20):
        for scope in (known, unknown, running):
            answered(alice, scope, started_at=NOW.replace(day=day, hour=1), cost_usd=Decimal(day), dry_run=day == 2)
    answered(alice, known, started_at=datetime(2026, 2, 28, 23, 59, tzinfo=UTC), cost_usd=Decimal(100))
    left_open = {"cost_usd": None, "estimated_cost_usd": Decimal("0.5")}
    answered(alice, unknown, started_at=NOW.replace(day=3), **left_open)
    announce(call(alice, running, started_at=NOW, estimated_cost_usd=Decimal("0.25")))
    announce(call(alice, known, started_at=NOW, status="failed", error="No."))
    while sealed and seal():
        pass
    scopes = [known.id, unknown.id, running.id, empty.id]
    found = spent_in_month(scopes, now=NOW)
    expected = {key: monthly_spending(key, now=NOW).value for key in scopes}
    assert {key: found.get(key, Decimal(0)) for key in scopes} == expected
    assert expected == {
        known.id: Decimal(23),
        unknown.id: Decimal("23.5"),
        running.id: Decimal("23.25"),
        empty.id: Decimal(0),
    }


def test_the_number_of_statements_does_not_grow_with_the_budgets(alice: User, settled: None) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as context:
            visible_budgets(user=alice, now=timezone.now(), limit=9)
        return len(context)

    def add(key: str) -> None:
        scope = scope_of(alice, key)
        ScopeBudget.objects.create(scope=scope, max_cost_usd=Decimal(1))
        answered(alice, scope, started_at=timezone.now())

    add("one")
    before = statements()
    for number in range(5):
        add(f"more-{number}")
    assert statements() == before
    assert ModelCall.objects.count() == 6
