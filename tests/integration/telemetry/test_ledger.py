"""The ledger: each call once, and a paid reply is never overwritten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction
from uuid_utils.compat import uuid7

from access.user import User
from telemetry import ledger
from telemetry.models import ModelCall
from tests.factories.calls import NOON, REPLY, announce, answered, call, row, settle
from tests.support.two_connections import elsewhere

pytestmark = pytest.mark.django_db


def known(execution_id: UUID) -> ledger.KnownCall:
    [found] = ledger.known_calls_of_steps({(execution_id, "research")}).value
    return found


def test_a_call_comes_back_as_it_was_recorded(alice: User) -> None:
    given = call(alice, **REPLY, provider_request_id="req-1", error="none")
    announce(given)
    assert ledger.calls_of(given.execution_id, "research") == [given]


def test_what_is_known_of_a_call_leaves_its_reply_out(alice: User) -> None:
    announced, answered_call = call(alice), call(alice, **REPLY)
    announce(announced, answered_call)
    assert known(announced.execution_id).record == announced
    found = known(answered_call.execution_id)
    assert (found.has_reply, found.record) == (True, replace(answered_call, reply=None))
    both = ledger.known_calls_of_steps({(each.execution_id, "research") for each in (announced, answered_call)}).value
    assert [each.has_reply for each in both] == [False, True]


def test_a_call_is_announced_and_then_settled_in_the_same_row(alice: User) -> None:
    announced = call(alice)
    announce(announced)
    settled = replace(announced, **REPLY)
    settle(known(announced.execution_id), settled)
    assert ledger.calls_of(announced.execution_id, "research") == [settled]
    assert row().version == 2


@pytest.mark.parametrize(
    "change", [{"step_id": "summary"}, {"attempt": 2}, {"kind": "remediate"}, {"ordinal": 2}, {"execution_id": uuid7()}]
)
def test_every_part_of_its_identity_makes_another_call(alice: User, change: dict[str, Any]) -> None:
    first = call(alice)
    announce(first, replace(first, **change))
    assert ModelCall.objects.count() == 2


def test_the_hash_of_the_request_is_no_part_of_its_identity(alice: User) -> None:
    first = call(alice)
    announce(first)
    with pytest.raises(IntegrityError, match="model_call_once"), transaction.atomic():
        announce(replace(first, request_hash="f" * 64))
    settle(known(first.execution_id), replace(first, **REPLY, request_hash="f" * 64))
    assert (row().request_hash, row().status) == ("0" * 64, "committed")


def test_discarding_touches_the_pending_calls_of_one_execution(alice: User) -> None:
    mine, other = call(alice), call(alice)
    announce(mine, other, replace(mine, attempt=2, **REPLY))
    ledger.discard_pending(mine.execution_id, now=NOON)
    found = ModelCall.objects.order_by("attempt", "id").values_list("execution_id", "status", "finished_at", "version")
    assert list(found) == [
        (mine.execution_id, "discarded", NOON, 2),
        (other.execution_id, "pending", None, 1),
        (mine.execution_id, "committed", NOON, 1),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_call_that_was_read_before_another_settled_it_is_not_settled_again(alice: User) -> None:
    announced = call(alice)
    announce(announced)
    read = known(announced.execution_id)
    elsewhere(lambda: settle(read, replace(announced, **REPLY)))
    with pytest.raises(ledger.StaleCall):
        settle(read, replace(announced, status="unknown"))
    assert (row().status, row().cost_usd, row().version) == ("committed", REPLY["cost_usd"], 2)


def test_the_database_knows_no_call_twice_and_no_status_that_is_none(alice: User) -> None:
    answered(alice)
    twin = row()
    twin.pk = uuid7()
    twin._state.adding = True
    with pytest.raises(IntegrityError, match="model_call_once"), transaction.atomic():
        twin.save()
    with pytest.raises(IntegrityError, match="model_call_status_known"), transaction.atomic():
        ModelCall.objects.update(status="lost")
