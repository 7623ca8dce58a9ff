"""Optimistic writes: a cached snapshot is used until it is stale, and then no write of it is stored."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from psycopg.sql import SQL, Identifier
from pydantic import JsonValue

from access.user import User
from common.database.parameters import connection_parameters
from documents import repository as documents
from executions import models
from executions.composition import PostgresLedger
from executions.db_threads import in_thread
from executions.engine.domain.calls import Call
from executions.engine.domain.errors import DatabaseUnavailable, IllegalTransition, StaleFencingToken
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus, ExecutionStatus, StepStatus
from executions.engine.ports import Transition
from executions.engine.transitions import claims, core
from executions.persistence import repositories
from executions.persistence.call_ledger import all_calls_of
from executions.persistence.journal import cache
from executions.persistence.journal import connection as line
from executions.persistence.journal import journal as journal_module
from executions.persistence.journal.cache import MAX_STEPS, SnapshotCache
from executions.persistence.journal.decisions import Snapshot
from executions.persistence.journal.journal import PostgresJournal
from telemetry.models import ModelCall
from tests.factories.engine import ASKING, LINE, document
from tests.factories.executions import call, cancel, claim, paper, start
from tests.support.waiting import HANG_SECONDS

LOCKS = "under locks"
LEFT = "left for locks"
LOSE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'scriptorium-journal' AND datname = current_database()"""


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the journal says of how it writes."""
    with caplog.at_level(logging.DEBUG, logger="executions"):
        yield caplog


@pytest.fixture
async def journal(ann: User) -> AsyncIterator[PostgresJournal]:
    """A journal that has stored a document before: its schema is known."""
    made = PostgresJournal()
    first = await claimed(made, await in_thread(start, ann, scope="before"))
    await complete(made, await begin(made, first))
    yield made


async def claimed(journal: PostgresJournal, execution: Execution, worker: str = "a") -> Execution:
    """Claim an execution."""
    return await journal.commit(
        Transition(
            execution_id=execution.id,
            fencing_token=None,
            decide=lambda now, context: claims.claim(now, worker=worker, max_recoveries=5, context=context),
        )
    )


async def begin(journal: PostgresJournal, execution: Execution, step_id: str = "one") -> Execution:
    """Begin a step, its call under way."""
    return await journal.commit(
        Transition(
            execution_id=execution.id,
            fencing_token=execution.fencing_token,
            decide=lambda now, context: core.start_step(now, step_id, model="m", input_versions=(), context=context),
            calls=(call(execution.id, step_id),),
        )
    )


def completion(execution: Execution, step_id: str = "one") -> Transition:
    """Return what hands a step's document in, with the reply that it came from."""
    return Transition(
        execution_id=execution.id,
        fencing_token=execution.fencing_token,
        decide=lambda now, context: core.complete_step(now, step_id, context=context),
        calls=(settled(call(execution.id, step_id)),),
        document=paper(execution, step_id),
    )


def settled(under_way: Call) -> Call:
    """Return a call with its reply."""
    return replace(under_way, status=CallStatus.COMMITTED, reply=document(), finished_at=timezone.now())


async def complete(journal: PostgresJournal, execution: Execution, step_id: str = "one") -> Execution:
    """Hand a step's document in."""
    return await journal.commit(completion(execution, step_id))


async def whole_log(execution: Execution) -> list[int]:
    """Return the numbers of an execution's events."""
    rows = models.ExecutionEvent.objects.filter(execution_id=execution.id).order_by("sequence")
    return await in_thread(lambda: list(rows.values_list("sequence", flat=True)))


async def test_what_a_process_has_written_itself_it_writes_on_without_locks(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await in_thread(start, ann, ASKING)
    done = await complete(journal, await begin(journal, await claimed(journal, execution)))
    assert done.steps["one"].status is StepStatus.COMPLETED
    assert done == await in_thread(repositories.get, execution.id)
    assert await whole_log(done) == list(range(1, done.last_sequence + 1))
    assert LOCKS not in told.text
    assert LEFT not in told.text


async def test_a_step_begins_with_the_version_that_its_document_has(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await claimed(journal, await in_thread(start, ann))
    begun = await begin(journal, execution)
    assert (begun.steps["one"].base_version, LOCKS in told.text) == (0, False)
    other = await claimed(journal, await in_thread(start, ann))
    edited = replace(paper(other), version=1, execution_id=None, author_name="ann")
    await in_thread(repositories.save_document, edited)  # elsewhere: what is cached is old
    assert (await begin(journal, other)).steps["one"].base_version == 1
    assert LOCKS in told.text


async def test_a_concurrent_change_is_decided_again(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    cancelled, other = [
        await begin(journal, await claimed(journal, await in_thread(start, ann, scope=scope))) for scope in "qr"
    ]
    await in_thread(cancel, ann, cancelled.id)
    outcomes = await asyncio.gather(
        journal.commit(completion(cancelled)), journal.commit(completion(other)), return_exceptions=True
    )
    assert [type(each) for each in outcomes] == [IllegalTransition, Execution]
    assert LOCKS in told.text
    assert await in_thread(documents.newest_version, cancelled.scope.id, "one") is None
    for each in (cancelled, other):
        now = await in_thread(repositories.get, each.id)
        assert await whole_log(each) == list(range(1, now.last_sequence + 1))
    assert await in_thread(lambda: ModelCall.objects.get(execution_id=cancelled.id).status) == "discarded"


def reasons(told: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was said of why locks were needed."""
    return [record for record in told.records if LOCKS in record.getMessage()]


async def test_a_conflict_is_no_news(journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    await in_thread(cancel, ann, execution.id)
    with pytest.raises(IllegalTransition):
        await complete(journal, execution)
    [reason] = reasons(told)
    assert reason.levelno == logging.DEBUG
    assert "another process has changed a row" in reason.getMessage()
    assert "DivisionByZero" not in told.text


async def test_a_bug_in_a_decision_is_told_with_its_traceback_and_to_whom_it_concerns(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))

    def broken(*_: object) -> core.Change:
        raise TypeError("a bug of ours")

    transition = Transition(execution_id=execution.id, fencing_token=execution.fencing_token, decide=broken)
    with pytest.raises(TypeError, match="a bug of ours"):
        await journal.commit(transition)
    [fault] = [record for record in told.records if record.levelno >= logging.ERROR]
    assert "because of a bug" in fault.getMessage()
    assert fault.exc_info is not None
    assert (await complete(journal, execution)).steps["one"].status is StepStatus.COMPLETED


@pytest.mark.parametrize(
    ("why", "level"),
    [
        (psycopg.errors.DivisionByZero("division by zero"), logging.DEBUG),
        (psycopg.errors.UniqueViolation("twice"), logging.DEBUG),
        (psycopg.errors.DeadlockDetected("deadlock"), logging.DEBUG),
        (psycopg.errors.DuplicatePreparedStatement("again"), logging.DEBUG),
        (DatabaseUnavailable("The connection was lost."), logging.DEBUG),
        (psycopg.errors.UndefinedTable("no such table"), logging.ERROR),
        (psycopg.errors.SyntaxError("near"), logging.ERROR),
        (ZeroDivisionError("division by zero"), logging.ERROR),
        (KeyError("x"), logging.ERROR),
    ],
    ids=repr,
)
def test_a_conflict_is_told_apart_from_a_bug(why: Exception, level: int, told: pytest.LogCaptureFixture) -> None:
    journal_module.log_reason(why, doing="decided again under locks")
    [record] = told.records
    assert (record.levelno, bool(record.exc_info)) == (level, level == logging.ERROR)
    assert "DivisionByZero" not in record.getMessage()


async def test_a_runner_that_was_overtaken_stores_nothing_however_much_it_remembers(
    journal: PostgresJournal, ann: User
) -> None:
    mine = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    theirs = await in_thread(claim, mine.id, "b")
    with pytest.raises(StaleFencingToken):
        await complete(journal, mine)
    assert await in_thread(repositories.get, mine.id) == theirs


async def test_a_document_that_a_person_has_made_meanwhile_keeps_its_version(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    theirs = repositories.stored_document(replace(paper(execution), version=1, title="Mine"))
    await in_thread(documents.save_version, theirs)
    done = await complete(journal, execution)
    assert LOCKS in told.text
    assert done.steps["one"].document_version == 2
    first = await in_thread(documents.get_version, theirs.id, 1)
    assert first is not None
    assert first.title == "Mine"


async def test_where_others_write_documents_it_is_not_tried_for_a_while(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    first, second = [await begin(journal, await claimed(journal, await in_thread(start, ann))) for _ in range(2)]
    await in_thread(
        documents.save_version, repositories.stored_document(replace(paper(first), version=1, title="Theirs"))
    )
    assert (await complete(journal, first)).steps["one"].document_version == 2
    assert told.text.count(LOCKS) == 1
    assert (await complete(journal, second)).steps["one"].document_version == 3
    assert told.text.count(LOCKS) == 1  # nothing was refused this time
    assert LEFT in told.text


@pytest.mark.parametrize("locked", [False, True])
async def test_a_step_begins_with_the_version_that_a_person_has_made_since_its_claim(
    journal: PostgresJournal, ann: User, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    if locked:
        monkeypatch.setattr(cache, "MAX_STEPS", 0)
    first, second = [await claimed(journal, await in_thread(start, ann)) for _ in range(2)]
    theirs = repositories.stored_document(replace(paper(first), version=1))
    for number, execution in enumerate((first, second), 1):
        await in_thread(documents.save_version, replace(theirs, version=number))
        assert (await begin(journal, execution)).steps["one"].base_version == number


async def test_a_claim_reads_the_heads_anew(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    first = await claimed(journal, await in_thread(start, ann))
    await in_thread(documents.save_version, repositories.stored_document(replace(paper(first), version=1)))
    second = await claimed(journal, await in_thread(start, ann))
    for execution in (first, second):
        assert (await begin(journal, execution)).steps["one"].base_version == 1
    assert LOCKS not in told.text


async def test_a_late_booking_elsewhere_is_part_of_the_totals(journal: PostgresJournal, ann: User) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    retried = replace(call(execution.id), key=replace(call(execution.id).key, ordinal=2))
    lost = replace(call(execution.id), status=CallStatus.UNKNOWN, finished_at=timezone.now())
    await journal.commit(
        Transition(
            execution_id=execution.id,
            fencing_token=execution.fencing_token,
            decide=lambda now, _: core.Change(execution=now),
            calls=(lost, retried),
        )
    )
    # Another process hears of the first try after all.
    await PostgresLedger(PostgresJournal()).settle(settled(call(execution.id)))
    done = await journal.commit(replace(completion(execution), calls=(settled(retried),)))
    events = models.ExecutionEvent.objects.filter(execution_id=done.id, event_type="step_completed")
    told = await in_thread(events.get)
    costs = await in_thread(lambda: list(ModelCall.objects.values_list("cost_usd", flat=True).order_by("ordinal")))
    assert Decimal(told.data["cost_usd"]) == sum(cost for cost in costs[-2:] if cost is not None)
    assert len(costs[-2:]) == 2


async def test_a_lost_connection_loses_and_doubles_nothing(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    with psycopg.connect(**connection_parameters(), autocommit=True) as admin:
        admin.execute(LOSE)
    done = await complete(journal, execution)
    assert LOCKS in told.text
    assert await whole_log(done) == list(range(1, done.last_sequence + 1))
    assert await in_thread(ModelCall.objects.filter(execution_id=done.id).count) == 1
    following = await begin(journal, done, "two")
    assert following == await in_thread(repositories.get, done.id)


async def test_what_was_not_stored_before_the_connection_broke_is_not_taken_for_stored(
    journal: PostgresJournal, ann: User
) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    await PostgresLedger(journal).settle(settled(call(execution.id)))  # as by a runner that stopped just then
    with psycopg.connect(**connection_parameters(), autocommit=True) as admin:
        admin.execute(LOSE)
    done = await complete(journal, execution)
    assert done.steps["one"].status is StepStatus.COMPLETED
    assert await in_thread(documents.newest_version, done.scope.id, "one") is not None


async def test_moments_are_the_same_whatever_zone_the_database_is_in(journal: PostgresJournal, ann: User) -> None:
    name = connection.settings_dict["NAME"]
    with psycopg.connect(**connection_parameters(), autocommit=True) as admin:
        admin.execute(SQL("ALTER DATABASE {} SET timezone = 'Asia/Tokyo'").format(Identifier(name)))
        try:
            line.close()
            execution = await claimed(journal, await in_thread(start, ann))
            begun = await begin(PostgresJournal(), execution)  # which has to look it up
        finally:
            admin.execute(SQL("ALTER DATABASE {} RESET timezone").format(Identifier(name)))
            line.close()
    stored = await in_thread(repositories.get, execution.id)
    assert (begun.started_at, begun.running_since) == (execution.started_at, execution.running_since)
    assert (stored.started_at, stored.running_since) == (execution.started_at, execution.running_since)


async def test_a_price_that_is_found_meanwhile_is_part_of_the_totals(journal: PostgresJournal, ann: User) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    unpriced = settled(call(execution.id))
    assert unpriced.reply is not None
    unpriced = replace(unpriced, reply=unpriced.reply.model_copy(update={"cost_usd": None}))
    done = await journal.commit(replace(completion(execution), calls=(unpriced,)))
    following = await begin(journal, done, "two")
    rows = ModelCall.objects.filter(execution_id=done.id, step_id="one")
    await in_thread(rows.update, cost_usd=Decimal("0.5"), version=F("version") + 1)  # as `reprice` does
    ended = await complete(journal, following, "two")
    assert ended.ended
    told = await in_thread(models.ExecutionEvent.objects.get, execution_id=done.id, event_type="complete")
    assert (told.data["totals"]["cost_usd"], told.data["totals"]["unpriced_calls"]) == ("0.5100000000", 0)


async def test_an_execution_of_many_steps_is_left_to_locks_and_its_calls_are_not_read(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await in_thread(start, ann)
    one = execution.steps["one"]
    many = {f"more-{number}": replace(one, step_id=f"more-{number}") for number in range(MAX_STEPS)}
    cache = SnapshotCache()
    long = replace(execution, steps={**execution.steps, **many}, status=ExecutionStatus.RUNNING)
    cache.put(long, None)
    assert cache.needs_locks(long)
    assert cache.knows(completion(long))
    cache.set_budgeted(frozenset({execution.scope.id}))
    assert cache.needs_locks(execution)


async def test_calls_are_cached_with_the_version_that_they_were_read_with(ann: User) -> None:
    cache = SnapshotCache()
    read = replace(await in_thread(start, ann), status=ExecutionStatus.RUNNING)
    newer = replace(read, version=read.version + 1)
    calls = all_calls_of([read.id])
    cache.put(newer, None)
    cache.put_missing(Snapshot(executions={read.id: read}, calls=calls))
    assert cache.snapshot([completion(read)]).calls == {}
    cache.put_missing(Snapshot(executions={read.id: newer}, calls=calls))
    assert cache.snapshot([completion(read)]).calls == calls


async def test_more_than_a_socket_takes_at_once_is_sent_to_its_end(
    journal: PostgresJournal, ann: User, told: pytest.LogCaptureFixture
) -> None:
    execution = await begin(journal, await claimed(journal, await in_thread(start, ann)))
    long = completion(execution)
    assert long.document is not None
    content: dict[str, JsonValue] = {"title": "T", "points": ["x" * 20_000_000]}
    done = await journal.commit(replace(long, document=replace(long.document, content=content)))
    assert LOCKS not in told.text
    stored = await in_thread(documents.newest_version, done.scope.id, "one")
    assert stored is not None
    assert len(str(stored.content["points"])) > 20_000_000


async def test_what_waits_or_has_ended_is_not_remembered(journal: PostgresJournal, ann: User) -> None:
    cache = SnapshotCache()
    execution = await claimed(journal, await in_thread(start, ann, LINE))
    cache.put(execution, None)
    assert len(cache) == 1
    cache.put(await in_thread(cancel, ann, execution.id), None)
    assert len(cache) == 0


# --- the line ---------------------------------------------------------------------------------------------------------


async def test_a_statement_that_is_refused_says_why_and_the_next_one_is_carried_out(ann: User) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await line.writing.execute("SELECT 1 / %s::integer", ["0"])
    with pytest.raises(psycopg.errors.UndefinedTable):
        await line.writing.execute("SELECT 1 FROM nothing", [])
    assert await line.reading.fetch_all([("SELECT %s::integer + 1", ["1"]), ("SELECT 'a' WHERE false", [])]) == [
        [(2,)],
        [],
    ]
    with pytest.raises(psycopg.errors.DivisionByZero):
        await line.reading.fetch_all([("SELECT 1 / %s::integer", ["0"]), ("SELECT 1", [])])
    assert await line.reading.fetch_all([("SELECT 1", [])]) == [[(1,)]]


async def test_statements_without_number_are_prepared_anew_now_and_then(ann: User) -> None:
    for number in range(line.MAX_PREPARED + 5):
        assert await line.reading.fetch_all([(f"SELECT {number}", [])]) == [[(number,)]]


async def test_prepared_statements_that_are_gone_are_prepared_again(ann: User) -> None:
    assert await line.reading.fetch_all([("SELECT 1", [])]) == [[(1,)]]
    await line.reading.execute("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$", [])  # psycopg does not see that
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        await line.reading.fetch_all([("SELECT 1", [])])
    assert await line.reading.fetch_all([("SELECT 1", [])]) == [[(1,)]]


async def test_the_result_of_an_abandoned_statement_goes_to_no_other_caller(ann: User) -> None:
    with psycopg.connect(**connection_parameters(), autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(1)")
        waiting = asyncio.ensure_future(line.reading.fetch_all([("SELECT 1, pg_advisory_lock(1)", [])]))
        await until_at_the_gate(True)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await line.reading.fetch_all([("SELECT 2", [])]) == [[(2,)]]
    await until_at_the_gate(False)  # its session ends with what it waited for


async def until_at_the_gate(waits: bool) -> None:
    """Wait until a session waits at the gate, or until no session does."""
    async with asyncio.timeout(HANG_SECONDS):
        while await in_thread(waits_for_the_gate) is not waits:
            await asyncio.sleep(0.01)


def waits_for_the_gate() -> bool:
    """Whether a session waits for an advisory lock in this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


class Held(line.PipelineConnection):
    """A line whose answers are heard when that is let happen."""

    def __init__(self) -> None:
        super().__init__()
        self.on_text = asyncio.Event()
        self.on_text.set()

    async def execute(self, statement: str, parameters: Sequence[str], *, server_changes: int | None = None) -> None:
        """Carry a statement out; return once that is let happen."""
        sent = asyncio.ensure_future(super().execute(statement, parameters, server_changes=server_changes))
        await self.on_text.wait()
        await sent


@pytest.fixture
def held() -> Iterator[Held]:
    """A line that is closed in the end."""
    with contextlib.closing(Held()) as made:
        yield made


async def test_a_batch_is_decided_before_the_last_one_is_answered_once_nearly_all_others_have_queued_up(
    ann: User, held: Held
) -> None:
    journal = PostgresJournal(writing=held)
    running = [await claimed(journal, await in_thread(start, ann, scope=scope)) for scope in "pqrstu"]
    decided: list[str] = []

    def beginning(execution: Execution) -> Transition:
        def decide(now: Execution, context: core.Context) -> core.Change:
            decided.append(now.scope.key)
            return core.start_step(now, "one", model="m", input_versions=(), context=context)

        return Transition(execution_id=execution.id, fencing_token=execution.fencing_token, decide=decide)

    async def until_decided(*scopes: str) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            while decided != list(scopes):
                await asyncio.sleep(0.01)

    held.on_text.clear()
    tasks = [asyncio.create_task(journal.commit(beginning(each))) for each in running[:3]]
    await until_decided("p", "q", "r")
    tasks.append(asyncio.create_task(journal.commit(beginning(running[3]))))
    for _ in range(100):
        await asyncio.sleep(0)
    assert decided == ["p", "q", "r"]  # it waits for others
    tasks.append(asyncio.create_task(journal.commit(beginning(running[4]))))
    await until_decided("p", "q", "r", "s", "t")
    assert not any(each.done() for each in tasks)
    held.on_text.set()
    async with asyncio.timeout(HANG_SECONDS):
        stored = await asyncio.gather(*tasks)
    assert [each.steps["one"].status for each in stored] == [StepStatus.RUNNING] * 5
