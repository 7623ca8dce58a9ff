"""The ledger: every call once, and what was paid for is never overwritten."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from telemetry import recorder
from telemetry.models import CallStatus, ModelCall
from tests.access.together import DEADLINE_SECONDS, blocked, elsewhere
from tests.telemetry.ledger import NOON, REPLY, answered, call, row

pytestmark = pytest.mark.django_db


def test_a_call_comes_back_as_it_was_recorded(alice: User) -> None:
    given = call(alice, **REPLY, provider_request_id="req-1", error="none")
    assert recorder.record(given)
    assert recorder.calls_of(given.execution_id, "research") == [given]


def test_a_call_is_announced_and_then_settled_in_the_same_row(alice: User) -> None:
    announced = call(alice)
    assert recorder.record(announced)
    settled = replace(announced, **REPLY)
    assert recorder.record(settled)
    assert recorder.calls_of(announced.execution_id, "research") == [settled]
    assert row().version == 2


@pytest.mark.parametrize(
    "change", [{"step_id": "summary"}, {"attempt": 2}, {"kind": "remediate"}, {"ordinal": 2}, {"execution_id": uuid7()}]
)
def test_every_part_of_its_identity_makes_another_call(alice: User, change: dict[str, Any]) -> None:
    first = call(alice)
    recorder.record(first)
    assert recorder.record(replace(first, **change))
    assert ModelCall.objects.count() == 2


def test_the_hash_of_the_request_is_no_part_of_its_identity(alice: User) -> None:
    first = call(alice)
    recorder.record(first)
    assert recorder.record(replace(first, **REPLY, request_hash="f" * 64))
    assert (row().request_hash, row().status) == ("0" * 64, "committed")


ALLOWED = {
    ("pending", "committed"),
    ("pending", "discarded"),
    ("pending", "failed"),
    ("pending", "unknown"),
    ("unknown", "discarded"),
    ("discarded", "discarded"),
}


@pytest.mark.parametrize("to", CallStatus.values)
@pytest.mark.parametrize("held", CallStatus.values)
def test_what_was_settled_for_good_stays(alice: User, held: str, to: str) -> None:
    first = call(alice, status=held)
    recorder.record(first)
    took = recorder.record(replace(first, **{**REPLY, "status": to}))
    assert took is ((held, to) in ALLOWED)
    assert (row().status, row().cost_usd) == ((to, REPLY["cost_usd"]) if took else (held, None))


def test_a_late_reply_of_a_discarded_call_is_booked_and_stays_booked(alice: User) -> None:
    announced = call(alice)
    recorder.record(announced)
    recorder.discard_pending(announced.execution_id, now=NOON)
    late = replace(announced, **{**REPLY, "status": "discarded"})
    assert recorder.record(late)
    assert not recorder.record(replace(announced, status="discarded"))
    assert (row().status, row().cost_usd, row().reply) == ("discarded", REPLY["cost_usd"], REPLY["reply"])


def test_discarding_touches_the_pending_calls_of_one_execution(alice: User) -> None:
    mine, other = call(alice), call(alice)
    for each in (mine, other, replace(mine, attempt=2, **REPLY)):
        recorder.record(each)
    recorder.discard_pending(mine.execution_id, now=NOON)
    found = ModelCall.objects.order_by("attempt", "id").values_list("execution_id", "status", "finished_at", "version")
    assert list(found) == [
        (mine.execution_id, "discarded", NOON, 2),
        (other.execution_id, "pending", None, 1),
        (mine.execution_id, "committed", NOON, 1),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_call_that_was_read_before_another_settled_it_is_not_settled_again(alice: User) -> None:
    announced = call(alice)
    recorder.record(announced)
    read = row()
    elsewhere(lambda: recorder.record(replace(announced, **REPLY)))
    with pytest.raises(recorder.StaleCall):
        recorder.settle(read.id, expected=read.version, call=replace(announced, status="unknown"))
    assert (row().status, row().cost_usd, row().version) == ("committed", REPLY["cost_usd"], 2)


@pytest.mark.django_db(transaction=True)
def test_a_reply_that_meets_a_cancel_is_booked_as_what_it_then_is(alice: User) -> None:
    announced = call(alice)
    recorder.record(announced)
    late = replace(announced, **{**REPLY, "status": "discarded"})
    with ExitStack() as stack:
        with transaction.atomic():
            recorder.discard_pending(announced.execution_id, now=NOON)
            other = stack.enter_context(blocked(lambda: recorder.record(late)))
        assert other.result(DEADLINE_SECONDS) is True
    assert (row().status, row().cost_usd) == ("discarded", REPLY["cost_usd"])


@pytest.mark.django_db(transaction=True)
def test_a_call_announced_twice_at_once_is_one_row(alice: User) -> None:
    announced = call(alice)
    with ExitStack() as stack:
        with transaction.atomic():
            assert recorder.record(announced)
            other = stack.enter_context(blocked(lambda: recorder.record(announced)))
        assert other.result(DEADLINE_SECONDS) is False
    assert ModelCall.objects.count() == 1


def test_the_database_knows_no_call_twice_and_no_status_that_is_none(alice: User) -> None:
    answered(alice)
    twin = row()
    twin.pk = uuid7()
    twin._state.adding = True
    with pytest.raises(IntegrityError, match="model_call_once"), transaction.atomic():
        twin.save()
    with pytest.raises(IntegrityError, match="model_call_status_known"), transaction.atomic():
        ModelCall.objects.update(status="lost")
