"""What seals blocks, what notes a late change, and what happens to a worker that is killed or not alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from access.user import User
from common.database import bulk
from common.database.parameters import connection_parameters
from telemetry import ledger, selectors
from telemetry.models import BusyScope, ChangedQuarter, ModelCall, Rollup, RollupState
from telemetry.rollups import reads
from telemetry.rollups import seal as sealing
from telemetry.rollups.blocks import Level, floor
from telemetry.rollups.seal import seal
from tests.factories.calls import NOON, REPLY, answered, call, scope_of
from tests.support.two_connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def settled(transactional_db: None) -> None:
    """All transactions that wrote before now have ended: other tests may run on the same server."""
    RollupState.objects.create(id=1, settled_until=timezone.now())


def seal_all() -> None:
    while seal():
        pass


def rows() -> list[tuple[Any, ...]]:
    """Return what the blocks say."""
    columns = [field.name for field in Rollup._meta.fields if field.name != "id"]
    return sorted(Rollup.objects.values_list(*columns), key=str)


def sealed_until() -> datetime | None:
    return RollupState.objects.get().sealed_until


def cost(user: User) -> str:
    found = selectors.summary(user=user, tz=UTC_ZONE)
    return f"{found.totals.known_cost_usd:.10f}"


def changed() -> list[datetime]:
    return list(ChangedQuarter.objects.order_by("start").values_list("start", flat=True))


def test_blocks_are_sealed_an_hour_after_their_end(alice: User, settled: None) -> None:
    answered(alice)
    answered(alice, started_at=timezone.now())
    seal_all()
    until = sealed_until()
    assert until is not None
    settled_until = RollupState.objects.get().settled_until
    assert settled_until is not None
    assert until == floor(settled_until - sealing.SEAL_AFTER, Level.QUARTER)
    assert set(Rollup.objects.values_list("level", flat=True)) == set(Level)
    assert set(Rollup.objects.values_list("start", flat=True)) == {floor(NOON, level) for level in Level}
    assert not seal()


def test_old_blocks_are_filled_in_batches(alice: User, settled: None) -> None:
    answered(alice, started_at=NOON - timedelta(days=300))
    for days in range(3):
        answered(alice, started_at=NOON + timedelta(days=days))
    seen = [sealed_until()]
    while seal():
        seen.append(sealed_until())
    assert seen[1:4] == [NOON - timedelta(days=299), NOON, NOON + timedelta(days=1)]  # what has no calls is passed over
    assert len(seen) < 20
    assert sealed_until() > NOON + timedelta(days=30)  # type: ignore[operator]
    assert f"{4 * REPLY['cost_usd']:.10f}" == cost(alice)


def test_most_cuts_have_hours_only_of_the_day_that_is_not_sealed(alice: User) -> None:
    RollupState.objects.create(id=1, settled_until=NOON + timedelta(days=1, hours=6))
    for hours in (0, 1, 24, 25):
        answered(alice, started_at=NOON + timedelta(hours=hours))
    seal(span=timedelta(days=2))
    assert sealed_until() == NOON + timedelta(days=1, hours=5)
    of_hours = Rollup.objects.filter(level=Level.HOUR, scope_id=None)
    assert of_hours.filter(cut="total").count() == 4
    assert set(of_hours.filter(cut="step").values_list("start", flat=True)) == {
        NOON + timedelta(hours=24),
        NOON + timedelta(hours=25),
    }
    assert Rollup.objects.filter(level=Level.DAY, scope_id=None, cut="step").count() == 1


def test_only_busy_scopes_keep_rows_of_days_and_hours(
    alice: User, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most scopes have few calls: their rows would be as many as the calls."""
    monkeypatch.setattr(sealing, "BUSY_CALLS", 3)
    quiet, busy = scope_of(alice, "quiet"), scope_of(alice, "busy")
    for month in (3, 4, 5):
        for day in (1, 2, 3):
            at = datetime(2026, month, day, 12, 5, tzinfo=UTC)
            answered(alice, busy, started_at=at)
            if day < 3:
                answered(alice, quiet, started_at=at)
    seal_all()
    assert list(BusyScope.objects.values_list("scope_id", "since")) == [(busy.id, datetime(2026, 3, 1, tzinfo=UTC))]
    kept = Rollup.objects.filter(cut="total")
    assert kept.filter(scope_id=quiet.id).count() == kept.filter(scope_id=quiet.id, level=Level.MONTH).count() == 3
    assert kept.filter(scope_id=busy.id, level=Level.DAY).count() == 9
    assert kept.filter(scope_id=busy.id, level=Level.HOUR).count() == 6  # since the end of its first busy month
    before = rows()
    ModelCall.objects.filter(started_at__month=3, started_at__day=2).update(cost_usd=Decimal(1))
    found = selectors.summary(user=alice, tz=UTC_ZONE, group_by=["scope", "day"])
    seal_all()
    assert selectors.summary(user=alice, tz=UTC_ZONE, group_by=["scope", "day"]) == found
    assert len(rows()) == len(before)
    assert found.totals.known_cost_usd == 13 * REPLY["cost_usd"] + 2


def test_a_transaction_that_runs_keeps_blocks_from_being_settled(alice: User) -> None:
    """The first run remembers the time; what was written before then is visible once its transactions have ended."""
    began, end = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            answered(alice)
            began.set()
            assert end.wait(60)

    thread = threading.Thread(target=lambda: elsewhere(write))
    thread.start()
    try:
        assert began.wait(60)
        seal()
        horizon = RollupState.objects.get().horizon_at
        for _ in range(3):
            seal()
            state = RollupState.objects.get()
            assert (state.settled_until, state.horizon_at) == (None, horizon)
    finally:
        end.set()
        thread.join()
    while RollupState.objects.get().settled_until is None:  # transactions of other tests may still run
        seal()
    assert RollupState.objects.get().settled_until == horizon


def test_a_horizon_of_another_server_is_forgotten(alice: User) -> None:
    """After a dump was restored, transaction ids start anew."""
    RollupState.objects.create(id=1, horizon_xid=2**60, horizon_at=NOON)
    seal()
    state = RollupState.objects.get()
    assert state.settled_until is None
    assert state.horizon_xid is not None
    assert state.horizon_xid < 2**60
    assert state.horizon_at is not None
    assert state.horizon_at > NOON


def test_a_usual_write_is_not_noted(alice: User, settled: None) -> None:
    row, made = ledger.new_row(), call(alice, started_at=timezone.now() - timedelta(minutes=9))
    bulk.write(ledger.insert_writes([(row, made)]))
    ModelCall.objects.update(cost_usd=Decimal(1))
    ModelCall.objects.all().delete()
    assert changed() == []


def test_a_late_write_is_noted_once_in_a_transaction(alice: User, settled: None) -> None:
    with transaction.atomic():
        answered(alice, started_at=NOON + timedelta(minutes=14))
        answered(alice, started_at=NOON)
    answered(alice, started_at=NOON + timedelta(minutes=15))
    assert changed() == [NOON, NOON + timedelta(minutes=15)]
    seal_all()
    assert changed() == []
    ModelCall.objects.filter(started_at=NOON).update(cost_usd=Decimal(1))
    assert changed() == [NOON]
    ModelCall.objects.filter(started_at=NOON).delete()
    assert changed() == [NOON, NOON]
    seal_all()
    assert changed() == []


def test_an_earlier_call_changes_what_later_blocks_say(alice: User, settled: None) -> None:
    """They say when the execution was active before, so that no day's execution is counted twice."""
    later = [NOON + timedelta(days=day) for day in (2, 40)]
    first = answered(alice, started_at=later[0])
    answered(alice, execution_id=first, step_id="other", started_at=later[1])
    answered(alice, started_at=later[1] + timedelta(hours=1))
    seal_all()
    answered(alice, execution_id=first, step_id="earlier", started_at=NOON)
    assert changed() == [NOON, *later]

    def executions() -> int:
        return selectors.summary(user=alice, tz=UTC_ZONE).executions

    assert executions() == 2
    seal_all()
    assert (changed(), executions()) == ([], 2)
    ModelCall.objects.filter(started_at=NOON).delete()
    assert executions() == 2
    seal_all()
    assert executions() == 2


def test_a_sum_is_exact_before_and_after_a_changed_block_is_renewed(alice: User, settled: None) -> None:
    answered(alice)
    row, pending = ledger.new_row(), call(alice)
    bulk.write(ledger.insert_writes([(row, pending)]))
    seal_all()
    found = selectors.summary(user=alice, tz=UTC_ZONE).totals
    assert (found.cost_final, found.unpriced_calls, found.calls) == (False, 1, 2)
    ModelCall.objects.filter(pk=row.row_id).update(status="committed", cost_usd=Decimal("0.0000000001"))
    for _ in range(2):
        found = selectors.summary(user=alice, tz=UTC_ZONE).totals
        assert (found.cost_final, found.unpriced_calls) == (True, 0)
        assert f"{found.known_cost_usd:.10f}" == "0.0012000001"
        seal_all()
    assert changed() == []


def test_a_sum_is_read_from_one_snapshot(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seal may delete rows of days after a reader has decided to read them."""
    RollupState.objects.create(id=1, settled_until=NOON + timedelta(days=10))
    for days in range(5):
        answered(alice, started_at=NOON + timedelta(days=days))
    seal(span=timedelta(days=20))
    assert Rollup.objects.filter(level=Level.DAY, scope_id__isnull=False, cut="total").count() == 5
    read_state = reads._state

    def read_state_before_a_seal(filters: reads.Filters) -> Any:
        state = read_state(filters)
        elsewhere(seal_until_now)
        return state

    monkeypatch.setattr(reads, "_state", read_state_before_a_seal)
    assert cost(alice) == f"{5 * REPLY['cost_usd']:.10f}"
    assert not Rollup.objects.filter(level=Level.DAY, scope_id__isnull=False).exists()


def seal_until_now() -> None:
    RollupState.objects.update(settled_until=timezone.now())
    seal_all()


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, statement: str) -> Iterator[None]:
    """Have the server end the connection of a seal right before a statement."""
    execute = bulk.execute
    killed: list[int] = []

    def execute_or_die(text: str, parameters: Any) -> Any:
        if text.startswith(statement) and not killed:
            [(pid,)] = execute("SELECT pg_backend_pid()", []).fetchall()
            with psycopg.connect(**connection_parameters(), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            killed.append(pid)
        return execute(text, parameters)

    with monkeypatch.context() as patched:
        patched.setattr(bulk, "execute", execute_or_die)
        yield
    assert killed
    connection.close()


@pytest.mark.parametrize("statement", [sealing._DELETE, sealing._FORGET_CHANGED, sealing._ADVANCE])
def test_a_worker_that_is_killed_within_a_seal_changes_nothing(
    alice: User, settled: None, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    for days in range(2):
        answered(alice, started_at=NOON + timedelta(days=days))
    seal(span=timedelta(hours=1))
    before = (sealed_until(), rows(), changed(), cost(alice))
    with killed_at(monkeypatch, statement), pytest.raises(OperationalError):
        seal()
    assert (sealed_until(), rows(), changed(), cost(alice)) == before
    seal_all()
    expected = rows()
    assert cost(alice) == before[3]
    Rollup.objects.all().delete()
    RollupState.objects.update(sealed_until=None)
    seal_all()
    assert rows() == expected


@pytest.mark.parametrize("statement", [sealing._DELETE, sealing._FORGET_CHANGED])
def test_a_worker_that_is_killed_while_it_renews_changes_nothing(
    alice: User, settled: None, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    answered(alice)
    seal_all()
    ModelCall.objects.update(cost_usd=Decimal(7))
    before = (rows(), changed(), cost(alice))
    assert before[1:] == ([NOON], "7.0000000000")
    with killed_at(monkeypatch, statement), pytest.raises(OperationalError):
        seal()
    assert (rows(), changed(), cost(alice)) == before
    seal_all()
    assert (changed(), cost(alice)) == ([], "7.0000000000")
    assert rows() != before[0]


def test_of_two_seals_at_once_one_does_nothing(alice: User, settled: None) -> None:
    answered(alice)
    with transaction.atomic():
        bulk.execute(sealing._LOCK, [])
        assert elsewhere(seal) is False
        assert sealed_until() is None
    seal_all()
    expected = rows()
    Rollup.objects.all().delete()
    RollupState.objects.update(sealed_until=None)
    threads = [threading.Thread(target=lambda: elsewhere(seal_all)) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    seal_all()
    assert rows() == expected


def test_a_change_while_its_block_is_renewed_stays_noted(alice: User, settled: None) -> None:
    """The seal does not see the change, and does not remove its note either."""
    answered(alice)
    seal_all()
    ModelCall.objects.update(cost_usd=Decimal(2))

    def change() -> None:
        ModelCall.objects.update(cost_usd=Decimal(3))

    execute = bulk.execute

    def execute_after_change(text: str, parameters: Any) -> Any:
        if text == sealing._CHANGED:
            elsewhere(change)  # this transaction's snapshot is older
        return execute(text, parameters)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bulk, "execute", execute_after_change)
        seal()
    assert (changed(), cost(alice)) == ([NOON], "3.0000000000")
    seal_all()
    assert (changed(), cost(alice)) == ([], "3.0000000000")


def test_an_upgrade_waits_for_no_reader_and_reads_no_call(alice: User, settled: None) -> None:
    """Calls from before the upgrade are summed up at once, and their blocks are filled by the duty."""
    answered(alice, cost_usd=Decimal(5))
    executor = MigrationExecutor(connection)
    executor.migrate([("telemetry", "0001_initial")])
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_relation_filenode('telemetry_modelcall')")
            before = cursor.fetchone()
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes("telemetry"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filenode('telemetry_modelcall')")
        assert cursor.fetchone() == before  # not rewritten
    assert (cost(alice), rows()) == ("5.0000000000", [])
    RollupState.objects.create(id=1, settled_until=timezone.now())
    seal_all()
    assert cost(alice) == "5.0000000000"
    assert rows()
    ModelCall.objects.update(cost_usd=Decimal(6))
    assert (changed(), cost(alice)) == ([NOON], "6.0000000000")
