"""Blocks and the tail add up to the ledger, whatever was written and sealed in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import QuerySet
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from access.models import Scope
from access.user import User
from common.time import time_zones
from telemetry import selectors
from telemetry.ledger import erase_texts
from telemetry.models import BusyScope, ModelCall, Rollup, RollupState
from telemetry.rollups import seal as sealing
from telemetry.rollups.blocks import Level
from telemetry.rollups.seal import seal
from telemetry.selectors import GROUPS
from tests.factories.calls import REPLY, announce, call, scope_of
from tests.integration.telemetry.rollups import ledger_sums
from tests.support import databases
from tests.support.fuzzing import examples

pytestmark = pytest.mark.django_db(transaction=True)

SETTLED = datetime(2026, 6, 1, tzinfo=UTC)  # all blocks that end an hour before may be sealed
DAYS = ["01-30", "01-31", "02-01", "02-02", "02-28", "03-01", "03-28", "03-29", "03-30", "04-01"]
MINUTES = [0, 1, 14, 15, 59, 60, 61, 119, 120, 719, 1319, 1320, 1380, 1425, 1439]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]
EXECUTIONS = 5

moments = st.builds(
    lambda day, minute, rest: (
        datetime.fromisoformat(f"2026-{day}T00:00+00:00") + timedelta(minutes=minute, microseconds=rest)
    ),
    st.sampled_from(DAYS),
    st.sampled_from(MINUTES),
    st.sampled_from([0, 0, 1, 30_000_000]),
)
zones = st.one_of(st.sampled_from(ZONES), st.sampled_from(sorted(time_zones())))


@dataclass(frozen=True)
class Write:
    """A new call of an execution."""

    execution: int
    step: int
    model: int
    kind: str
    at: datetime


@dataclass(frozen=True)
class Change:
    """A change of one of the calls that there are."""

    number: int
    how: str
    amount: int


@dataclass(frozen=True)
class Seal:
    """One run of the worker's duty."""

    span: timedelta


writes = st.builds(
    Write,
    execution=st.integers(0, EXECUTIONS - 1),
    step=st.integers(0, 1),
    model=st.integers(0, 1),
    kind=st.sampled_from(["generate", "remediate"]),
    at=moments,
)
changes = st.builds(
    Change,
    number=st.integers(0, 20),
    how=st.sampled_from(
        ["settle", "discard", "reprice", "forget user", "delete", "erase", "move", "erase texts", "rename tag"]
    ),
    amount=st.integers(0, 10**9),
)
seals = st.builds(
    Seal, st.sampled_from([timedelta(minutes=15), timedelta(hours=5), timedelta(days=1), timedelta(days=45)])
)
edges = st.one_of(st.none(), moments, st.integers(0, 20))  # a number: right after a call
acts = st.builds(
    lambda first, rest: [*first, *rest],
    st.lists(writes, min_size=5, max_size=12),
    st.lists(st.one_of(writes, changes, seals, seals), min_size=5, max_size=25),
)


@pytest.fixture
def few_calls(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scope is busy with few calls."""
    monkeypatch.setattr(sealing, "BUSY_CALLS", 2)


class Ledger:
    """The ledger of an example, and how its acts are carried out."""

    def __init__(self, alice: User, bob: User) -> None:
        scopes = [scope_of(alice), scope_of(alice, "beta"), scope_of(bob, "gamma")]
        self.executions: list[dict[str, Any]] = [
            {
                "execution_id": uuid7(),
                "user": bob if number == 3 else alice,
                "scope": scopes[(0, 0, 1, 2, 2)[number]],
                "workflow_id": f"workflow-{number % 2}",
                "dry_run": number == 1,
                "tags": (("pilot",), (), ("pilot", "q1"), ("q1",), ())[number],
            }
            for number in range(EXECUTIONS)
        ]
        self.written = 0

    def write(self, act: Write) -> None:
        given = dict(self.executions[act.execution])
        user, scope = given.pop("user"), given.pop("scope")
        self.written += 1
        with in_time(act.at):
            announce(
                call(
                    user,
                    scope,
                    **given,
                    step_id=f"step-{act.step}",
                    requested_model=f"openai:model-{act.model}",
                    kind=act.kind,
                    attempt=self.written,
                    started_at=act.at,
                )
            )

    def change(self, act: Change) -> None:
        rows = list(ModelCall.objects.order_by("attempt"))
        if not rows:
            return
        row = rows[act.number % len(rows)]
        chosen = ModelCall.objects.filter(pk=row.pk)
        with in_time(row.started_at):
            getattr(self, f"_{act.how.replace(' ', '_')}")(chosen, row, act.amount)

    def _settle(self, chosen: Any, row: ModelCall, amount: int) -> None:
        provider, _, model = row.requested_model.partition(":")
        cost = None if amount % 7 == 0 else Decimal(amount) / 10**10
        chosen.update(**{**REPLY, "provider": provider, "model": model, "cost_usd": cost, "latency_ms": amount % 1000})

    def _discard(self, chosen: Any, row: ModelCall, amount: int) -> None:
        status = ("discarded", "failed", "unknown")[amount % 3]
        chosen.update(status=status, estimated_cost_usd=Decimal(0) if amount % 2 else None)

    def _reprice(self, chosen: Any, row: ModelCall, amount: int) -> None:
        chosen.update(cost_usd=Decimal(amount) / 10**10, estimated_cost_usd=None)

    def _forget_user(self, chosen: Any, row: ModelCall, amount: int) -> None:
        chosen.update(user=None)

    def _delete(self, chosen: Any, row: ModelCall, amount: int) -> None:
        chosen.delete()

    def _erase(self, chosen: Any, row: ModelCall, amount: int) -> None:
        with noted():
            ModelCall.objects.filter(execution_id=row.execution_id).delete()

    def _erase_texts(self, chosen: Any, row: ModelCall, amount: int) -> None:
        erase_texts(row.execution_id, limit=amount % 3 + 1, now=SETTLED)

    def _rename_tag(self, chosen: Any, row: ModelCall, amount: int) -> None:
        with noted():
            ModelCall.objects.filter(tags__contains=["q1"]).update(tags=["erased-1"])

    def _move(self, chosen: Any, row: ModelCall, amount: int) -> None:
        with noted():
            chosen.update(started_at=row.started_at + timedelta(minutes=amount % 3000 - 1500))


@contextmanager
def in_time(moment: datetime) -> Iterator[None]:
    """Write as at that moment, if its quarter is not sealed: then the trigger notes nothing."""
    sealed_until = RollupState.objects.get().sealed_until
    with connection.cursor() as cursor:
        if sealed_until is None or moment >= sealed_until:
            cursor.execute("SET session_replication_role = replica")
        yield
        cursor.execute("SET session_replication_role = origin")


@contextmanager
def noted() -> Iterator[None]:
    """Write late: the trigger notes it."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = origin")
    yield


def empty() -> None:
    """Start an example with empty tables."""
    databases.empty_tables(None)  # type: ignore[arg-type]
    RollupState.objects.create(id=1, settled_until=SETTLED)


def carry_out(ledger: Ledger, act: Write | Change | Seal) -> None:
    if isinstance(act, Write):
        ledger.write(act)
    elif isinstance(act, Change):
        ledger.change(act)
    else:
        seal(span=act.span)


def edge(chosen: datetime | int | None) -> datetime | None:
    """Return an end of a time range."""
    if not isinstance(chosen, int):
        return chosen
    times = list(ModelCall.objects.order_by("attempt").values_list("started_at", flat=True))
    return times[chosen % len(times)] + timedelta(microseconds=1) if times else None


def assert_exact_usage(user: User, scope_ids: list[UUID] | None) -> None:
    """Compare the usage of a workflow with the plain sums over the ledger."""
    found = selectors.usage_of_workflow(user=user, workflow_id="workflow-1")
    rows = ledger_sums.calls(since=None, until=None, scope_ids=scope_ids, dry_run=False)
    rows = rows.filter(workflow_id="workflow-1")
    assert found.totals == selectors.totals(rows)
    for kinds, steps in (({"generate", "remediate"}, found.steps), ({"remediate"}, found.remediated_steps)):
        assert steps == rows.filter(kind__in=kinds).order_by().values("execution_id", "step_id").distinct().count()


def assert_exact_scopes(user: User, rows: QuerySet[ModelCall], *, tz: ZoneInfo, **query: Any) -> None:
    """Compare the sums of the largest scopes with the plain sums over the ledger."""
    found = selectors.summary_of_scopes(user=user, tz=tz, largest=2, **query)
    assert ledger_sums.whole_of(found) == ledger_sums.whole(rows)
    for name in ("scope", "day"):
        assert ledger_sums.groups_of(found.groups[name]) == ledger_sums.groups(rows, [name], tz), name
    largest = [tuple(group.key.values()) for group in selectors.ranked_groups(found.groups["scope"])[:2]]
    assert found.cross is not None
    every = ledger_sums.groups(rows, ["day", "scope"], tz)
    assert ledger_sums.groups_of(found.cross) == {key: every[key] for key in every if key[1:] in largest}


#: Filters by groups, and the same for plain sums.
NARROWED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"workflow_id": "workflow-1"}, {"workflow_id": "workflow-1"}),
    ({"started_by": "alice"}, {"user__username": "alice"}),
    ({"model": ("openai", "model-1")}, {"provider": "openai", "model": "model-1"}),
    ({"model": ("", "")}, {"provider": "", "model": ""}),
    ({"tag": "pilot"}, {"tags__contains": ["pilot"]}),
    ({"tag": "pilot", "workflow_id": "workflow-0"}, {"tags__contains": ["pilot"], "workflow_id": "workflow-0"}),
    ({"scope_type": "project", "scope_id": "alpha"}, {"scope__key": "alpha"}),
    ({"scope_id": "alpha", "workflow_id": "workflow-0"}, {"scope__key": "alpha", "workflow_id": "workflow-0"}),
    ({"workflow_id": "none"}, {"workflow_id": "none"}),
    ({"started_by": "eve"}, {"user__username": "eve"}),
]


def assert_exact(
    user: User,
    scope_ids: list[UUID] | None,
    *,
    narrowed: tuple[dict[str, Any], dict[str, Any]] = NARROWED[0],
    **query: Any,
) -> None:
    """Compare a summary with the plain sums over the ledger."""
    tz, (names, plain) = query["tz"], narrowed
    found = selectors.summary(user=user, group_by=list(GROUPS), **query, **names)
    crossed = {name: selectors.summary(user=user, by_day=name, **query, **names).cross for name in ("model", "step")}
    del query["tz"]
    assert_exact_usage(user, scope_ids)
    rows = ledger_sums.calls(scope_ids=scope_ids, **query).filter(**plain)
    assert_exact_scopes(user, rows, tz=tz, **query, **names)
    assert ledger_sums.whole_of(found) == ledger_sums.whole(rows)
    for name in GROUPS:
        assert ledger_sums.groups_of(found.groups[name]) == ledger_sums.groups(rows, [name], tz), name
    for name, cross in crossed.items():
        assert cross is not None
        assert ledger_sums.groups_of(cross) == ledger_sums.groups(rows, ["day", name], tz), name


@settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=set(Phase) - {Phase.explain},  # which takes minutes
)
@given(
    acts=acts,
    reads=st.lists(
        st.tuples(
            edges,
            edges,
            zones,
            st.sampled_from([None, True, False]),
            st.sampled_from(NARROWED),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_blocks_and_the_tail_add_up_to_the_ledger(
    few_calls: None, acts: list[Write | Change | Seal], reads: list[tuple[Any, ...]]
) -> None:
    empty()
    alice, bob = User.objects.create_user("alice"), User.objects.create_user("bob")
    staff = User.objects.create_user("staff", is_staff=True)
    ledger = Ledger(alice, bob)
    for act in acts:
        carry_out(ledger, act)
    for level in set(Rollup.objects.values_list("level", flat=True)):
        event(f"blocks of the level {Level(level).name}")
    event(f"busy scopes: {BusyScope.objects.count()}")
    event(f"splits: {Rollup.objects.filter(previous__isnull=False).exists()}")
    for since, until, zone, dry_run, narrowed in reads:
        event(f"filters: {', '.join(narrowed[0])}")
        query = {"since": edge(since), "until": edge(until), "tz": ZoneInfo(zone), "dry_run": dry_run}
        assert_exact(staff, None, narrowed=narrowed, **query)
        own = list(Scope.objects.filter(key__in=["alpha", "beta"]).values_list("id", flat=True))
        assert_exact(alice, own, narrowed=narrowed, **query)


def test_an_execution_is_counted_once_when_a_range_begins_within_a_quarter(transactional_db: None, alice: User) -> None:
    """Its blocks say only in which quarter it was active before."""
    RollupState.objects.create(id=1, settled_until=SETTLED)
    begin = datetime(2026, 2, 1, 10, 5, tzinfo=UTC)
    before, within, later = (begin + timedelta(minutes=each) for each in (-1, 1, 600))
    for times in [(before, later), (before, within, later), (within, later), (before,), (before, before, later)]:
        execution = uuid7()
        for number, at in enumerate(times):
            announce(call(alice, execution_id=execution, attempt=number, started_at=at))
    while seal():
        pass
    tz = ZoneInfo("UTC")
    assert_exact(alice, None, since=begin, until=None, tz=tz, dry_run=None)
    assert selectors.summary(user=alice, since=begin, tz=tz).executions == 4
    assert selectors.summary(user=alice, since=begin, until=later, tz=tz).executions == 2


def test_an_execution_of_several_days_and_months_is_counted_once(transactional_db: None, alice: User) -> None:
    RollupState.objects.create(id=1, settled_until=SETTLED)
    long, short = uuid7(), uuid7()
    times = [
        datetime(2026, month, day, 9, minute, tzinfo=UTC)
        for month, day in [(2, 3), (2, 3), (2, 9), (3, 1), (3, 2)]
        for minute in (0, 20)
    ]
    for number, at in enumerate(times):
        announce(call(alice, execution_id=long, attempt=number, started_at=at))
    announce(call(alice, execution_id=short, started_at=times[-1]))
    while seal():
        pass
    tz = ZoneInfo("UTC")
    months = [datetime(2026, month, 1, tzinfo=UTC) for month in (2, 3, 4)]
    assert_exact(alice, None, since=None, until=None, tz=tz, dry_run=None)
    assert_exact(alice, None, since=months[0], until=months[1], tz=tz, dry_run=None)
    assert_exact(alice, None, since=months[1], until=months[2], tz=tz, dry_run=None)
    assert_exact(alice, None, since=months[0], until=months[2], tz=ZoneInfo("Asia/Kolkata"), dry_run=None)
    assert Rollup.objects.filter(level=Level.MONTH, cut="total", scope_id=None).count() == 3


@pytest.mark.parametrize("narrowed", NARROWED)
def test_filters_by_groups_select_the_same_calls_in_blocks_and_in_the_ledger(
    transactional_db: None, alice: User, narrowed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    RollupState.objects.create(id=1, settled_until=SETTLED)
    bob = User.objects.create_user("bob")
    ledger = Ledger(alice, bob)
    for number in range(40):
        moment = datetime(2026, 2, 1, tzinfo=UTC) + timedelta(hours=17 * number)
        ledger.write(
            Write(number % EXECUTIONS, number % 2, number % 2, ("generate", "remediate")[number % 3 == 0], moment)
        )
        ledger.change(Change(number, ("settle", "discard")[number % 4 == 0], number + 1))
    while seal():
        pass
    staff = User.objects.create_user("staff", is_staff=True)
    tz = ZoneInfo("Europe/Berlin")
    for since in (None, datetime(2026, 2, 3, 10, 5, tzinfo=UTC)):
        assert_exact(staff, None, since=since, until=None, tz=tz, dry_run=None, narrowed=narrowed)
