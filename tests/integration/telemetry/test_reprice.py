"""`manage.py reprice`: calls get the prices of their time, while new calls arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from access.user import User
from telemetry import ledger
from telemetry.models import ModelCall, Price
from telemetry.pricing import repricing
from tests.factories.calls import NOON, REPLY, announce, answered, call, settle
from tests.support.two_connections import DEADLINE_SECONDS, blocked, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

COST = Decimal("0.0012")  # of a call, before
#: 100 + 40 + 8 tokens read at $10, 20 written at $100 per million.
NEW = Decimal("0.0034800000")


@pytest.fixture
def user(alice: User) -> Iterator[User]:
    """A user with a scope."""
    yield alice
    ModelCall.objects.all().delete()


def have(**changes: Any) -> Price:
    given = {"provider": "scripted", "model": "writer*", "effective_from": NOON, "input_usd": 10, "output_usd": 100}
    return Price.objects.create(**{**given, **changes})


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("reprice", "--from", "2026-03-01", *arguments, stdout=out)
    return out.getvalue()


def costs() -> list[Decimal | None]:
    return list(ModelCall.objects.order_by("started_at", "id").values_list("cost_usd", flat=True))


def test_calls_are_priced_again_and_the_difference_is_told(user: User) -> None:
    have()
    for number in range(3):
        answered(user, started_at=NOON + timedelta(hours=number), cost_usd=None if number == 2 else COST)
    told = run()
    assert costs() == [NEW] * 3
    assert set(ModelCall.objects.values_list("version", flat=True)) == {2}
    assert "3 calls with known tokens, from 2026-03-01 00:00:00 to" in told
    assert "before: 0.0024000000 USD, and 1 calls of unknown cost" in told
    assert "after:  0.0104400000 USD, and 0 calls of unknown cost" in told
    assert "3 calls changed, including 1 that had no known cost" in told
    assert "0 calls changed" in run()
    assert set(ModelCall.objects.values_list("version", flat=True)) == {2}


def test_a_dry_run_says_the_same_and_writes_nothing(user: User) -> None:
    have()
    answered(user)
    answered(user, cost_usd=None)
    rows = list(ModelCall.objects.order_by("id").values())
    told = run("--dry-run")
    assert list(ModelCall.objects.order_by("id").values()) == rows
    assert "2 calls would change, including 1 that had no known cost" in told
    assert told.endswith("Nothing was written.\n")
    after = [line for line in run().splitlines() if line.startswith(("before", "after"))]
    assert after == [line for line in told.splitlines() if line.startswith(("before", "after"))]


def test_each_call_is_priced_by_what_held_at_its_time(user: User) -> None:
    have()
    have(effective_from=NOON + timedelta(hours=1), input_usd=0, output_usd=0)
    for hours in (-1, 0, 1):
        answered(user, started_at=NOON + timedelta(hours=hours))
    told = run()
    assert costs() == [COST, NEW, Decimal(0)]
    assert "no known price: scripted:writer-1, 1 calls keep their cost" in told


def test_a_span_holds_its_first_moment_and_not_its_last(user: User) -> None:
    have(effective_from=NOON - timedelta(days=9))
    first, last = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    for moment in (first - timedelta(microseconds=1), first, last - timedelta(microseconds=1), last):
        answered(user, started_at=moment)
    run("--to", "2026-03-02")
    assert costs() == [COST, NEW, NEW, COST]


def test_cached_tokens_and_the_name_that_was_asked_for_count(user: User) -> None:
    have(model="fast", provider="local", cache_read_usd=1, cache_write_usd=0)
    answered(user, requested_model="local:fast")
    run()
    assert costs() == [Decimal("0.00304")]  # 100 at $10, 40 read at $1, 8 written for nothing, 20 at $100


def test_calls_without_a_reply_are_left_alone(user: User) -> None:
    have(input_usd=0, output_usd=0)
    announce(*(call(user, status=status) for status in ("pending", "unknown", "failed", "discarded")))
    rows = list(ModelCall.objects.order_by("id").values())
    assert "0 calls with known tokens" in run()
    assert list(ModelCall.objects.order_by("id").values()) == rows


def test_a_reply_without_token_counts_is_left_alone(user: User) -> None:
    have()
    answered(user, cost_usd=None, input_tokens=0, output_tokens=0, estimated_cost_usd=COST, reserved_tokens=700)
    assert "0 calls" in run()
    assert costs() == [None]


def test_what_a_call_costs_at_most_is_forgotten_once_it_is_known(user: User) -> None:
    have()
    answered(user, cost_usd=None, estimated_cost_usd=Decimal(2))
    run()
    assert ModelCall.objects.get().estimated_cost_usd is None
    assert costs() == [NEW]


def test_a_discarded_reply_is_priced_too(user: User) -> None:
    have()
    answered(user, status="discarded", cost_usd=None)
    run()
    assert costs() == [NEW]


def test_a_call_without_a_known_price_now_keeps_its_cost(user: User) -> None:
    answered(user)
    answered(user, cost_usd=None)
    told = run()
    assert costs() == [COST, None]
    assert "no known price: scripted:writer-1, 2 calls keep their cost" in told
    assert "after:  0.0012000000 USD, and 1 calls of unknown cost" in told


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_batches_price_every_call_once(user: User, at_once: int, django_assert_max_num_queries: Any) -> None:
    have()
    for number in range(6):  # three at the same moment
        answered(user, started_at=NOON + timedelta(seconds=min(number, 3)))
    until = NOON + timedelta(days=1)
    found = repricing.reprice(since=NOON, until=until, dry_run=False, batch_size=at_once)
    assert (found.calls, found.changed, found.before_usd, found.after_usd) == (6, 6, 6 * COST, 6 * NEW)
    assert set(ModelCall.objects.values_list("cost_usd", "version")) == {(NEW, 2)}


def test_a_call_that_is_settled_meanwhile_is_not_lost(user: User) -> None:
    have()
    announced = call(user)
    announce(announced)
    answered(user)
    [known] = ledger.known_calls_of_steps({(announced.execution_id, "research")}).value
    with transaction.atomic():
        settle(known, replace(announced, **REPLY))
        found = elsewhere(lambda: repricing.reprice(since=NOON, until=NOON + timedelta(days=1), dry_run=False))
    assert (found.calls, found.changed) == (1, 1)  # it does not see, and does not wait for, the other
    assert sorted(ModelCall.objects.values_list("status", "cost_usd")) == [("committed", COST), ("committed", NEW)]
    [settled] = ledger.known_calls_of_steps({(announced.execution_id, "research")}).value
    assert (settled.has_reply, settled.version) == (True, 2)


def test_two_at_once_do_not_write_over_each_other(user: User) -> None:
    have()
    answered(user)
    answered(user)
    until = NOON + timedelta(days=1)
    with ExitStack() as stack:
        with transaction.atomic():
            first = repricing.reprice(since=NOON, until=until, dry_run=False)
            second = stack.enter_context(blocked(lambda: repricing.reprice(since=NOON, until=until, dry_run=False)))
        assert second.result(DEADLINE_SECONDS).changed == 0
    assert first.changed == 2
    assert set(ModelCall.objects.values_list("cost_usd", "version")) == {(NEW, 2)}


def test_a_call_that_was_changed_since_it_was_read_is_not_written(user: User) -> None:
    answered(user)
    [read] = ledger.replied_calls(
        after=(NOON - timedelta(days=1), ModelCall.objects.get().id), until=NOON + timedelta(1), limit=9
    )
    elsewhere(lambda: ledger.reprice([(read, Decimal(5))]))
    with pytest.raises(ledger.StaleCall):
        ledger.reprice([(read, Decimal(7))])
    assert costs() == [Decimal(5)]


@pytest.mark.parametrize("when", ["yesterday", "2026-02-30", "2026-13-01T00:00:00Z"])
def test_a_time_that_is_none_is_refused(when: str) -> None:
    with pytest.raises(CommandError, match="neither an RFC 3339 time nor a date"):
        call_command("reprice", "--from", when)


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(CommandError, match="ends before it begins"):
        call_command("reprice", "--from", "2026-03-02", "--to", "2026-03-01")


def test_a_start_is_required() -> None:
    with pytest.raises(CommandError, match="--from"):
        call_command("reprice")
