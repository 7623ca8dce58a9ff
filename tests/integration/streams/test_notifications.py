"""From a commit to its followers: real notifications, and lost connections."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from common.database import notifications
from common.database.parameters import connection_parameters
from executions.db_threads import in_thread
from executions.persistence.notifier import CHANNEL, PAYLOAD_BYTES, Notifier, payloads
from executions.progress import hub
from executions.progress.hub import StreamHub
from tests.factories.executions import outage
from tests.factories.streams import ASKED, COMPLETE, SKIPPED, STARTED, append, make_execution, make_user
from tests.support.waiting import HANG_SECONDS, Stopwatch

pytestmark = pytest.mark.django_db(transaction=True)


def connect() -> psycopg.Connection:
    return psycopg.connect(**connection_parameters(), autocommit=True, application_name="test-notifier")


@pytest.fixture
def notifier() -> Iterator[Notifier]:
    made = Notifier(connect)
    yield made
    made.stop()


@contextmanager
def listening() -> Iterator[Callable[[int], list[str]]]:
    """Yield what returns the payloads that come in until `count` ids were named."""
    with connect() as ears:
        ears.execute(f"LISTEN {CHANNEL}".encode())

        def heard(count: int) -> list[str]:
            found: list[str] = []
            for notification in ears.notifies(timeout=HANG_SECONDS):
                found.append(notification.payload)
                if sum(len(each.split(",")) for each in found) >= count:
                    return found
            return found

        yield heard


def terminate(application_name: str) -> int:
    """Kill the connections of that name, and return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = %s",
            [application_name],
        )
        return int(cursor.fetchone()[0])


def connections_become(application_name: str, count: int) -> bool:
    """Return whether so many connections of that name are left: a backend ends a moment after its client closed."""
    deadline = time.monotonic() + HANG_SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                [application_name],
            )
            if cursor.fetchone()[0] == count:
                return True
    return False


def test_ids_that_come_together_share_a_notification(notifier: Notifier) -> None:
    ids = [uuid4() for _ in range(50)]
    with listening() as heard:
        for each in ids * 3:
            notifier.announce(each)
        found = heard(50)
    assert {text for payload in found for text in payload.split(",")} == {str(each) for each in ids}
    assert len(found) < 10


def test_many_ids_are_split_into_payloads_that_postgresql_takes() -> None:
    ids = [uuid4() for _ in range(500)]
    found = list(payloads(ids))
    assert all(len(payload.encode()) <= PAYLOAD_BYTES for payload in found)
    assert [UUID(text) for payload in found for text in payload.split(",")] == ids
    assert len(found) == 3


def test_ids_announced_by_many_threads_all_arrive(notifier: Notifier) -> None:
    ids = [uuid4() for _ in range(400)]

    def announce(part: list[UUID]) -> None:
        for each in part:
            notifier.announce(each)

    with listening() as heard:
        threads = [threading.Thread(target=announce, args=(ids[start::8],)) for start in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = heard(400)
    assert sorted(text for payload in found for text in payload.split(",")) == sorted(str(each) for each in ids)


def test_a_lost_connection_is_made_anew_and_the_next_hint_arrives(notifier: Notifier) -> None:
    first, second = uuid4(), uuid4()
    with listening() as heard:
        notifier.announce(first)
        assert heard(1) == [str(first)]
        assert terminate("test-notifier") >= 1
    with listening() as heard:
        notifier.announce(second)
        assert heard(1) == [str(second)]


def test_announcing_neither_waits_nor_raises_while_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    tried = threading.Event()
    go_on = threading.Event()

    def no_connection() -> psycopg.Connection:
        tried.set()
        go_on.wait(HANG_SECONDS)
        raise psycopg.OperationalError("connection refused")

    notifier = Notifier(no_connection)
    with caplog.at_level(logging.WARNING):
        watch = Stopwatch()
        notifier.announce(uuid4())
        assert tried.wait(HANG_SECONDS)
        for _ in range(1000):
            notifier.announce(uuid4())
        assert watch.seconds() < 2
        go_on.set()
        notifier.stop()
    assert "notifications are dropped" in caplog.text


def test_a_stopped_notifier_has_sent_everything_and_starts_again(notifier: Notifier) -> None:
    first, second = uuid4(), uuid4()
    with listening() as heard:
        notifier.announce(first)
        notifier.stop()
        assert heard(1) == [str(first)]
        assert connections_become("test-notifier", 1)  # the listener's alone
    with listening() as heard:
        notifier.announce(second)
        assert heard(1) == [str(second)]


def test_a_forked_child_announces_over_a_connection_of_its_own(notifier: Notifier) -> None:
    before, inside, after = uuid4(), uuid4(), uuid4()
    with listening() as heard:
        notifier.announce(before)
        assert heard(1) == [str(before)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: what is tested here
            child = os.fork()
        if child == 0:
            notifier.detach_after_fork()
            notifier.announce(inside)
            notifier.stop()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert heard(1) == [str(inside)]
        notifier.announce(after)
        assert heard(1) == [str(after)]


@pytest.fixture
async def streams(transactional_db: None) -> AsyncIterator[StreamHub]:
    made = StreamHub()
    yield made
    await made.close()


async def prepared() -> UUID:
    return await in_thread(lambda: make_execution(make_user("alice")[0]))


async def test_a_stream_outlives_its_listen_connection(streams: StreamHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "FIRST_RETRY_SECONDS", 0.7)  # by then the notification has gone unheard
    execution_id = await prepared()
    async with asyncio.timeout(HANG_SECONDS), aclosing(streams.follow(execution_id, after=0)) as batches:
        await in_thread(append, execution_id, STARTED)
        assert [message.number for message in await anext(batches)] == [1]
        for sequence, event in enumerate([ASKED, SKIPPED], start=2):
            # No connection listens during the commit. Missed events are read after the next LISTEN.
            while not await in_thread(terminate, "scriptorium-listener"):
                await asyncio.sleep(0.01)
            await in_thread(append, execution_id, event)
            assert [message.number for message in await anext(batches)] == [sequence]


async def test_a_stream_outlives_a_fault_in_its_listener(
    streams: StreamHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hear = hub.Listener.hear
    faults = iter([ZeroDivisionError()])

    async def hear_after_a_fault(self: hub.Listener, payload: str, *, channel: str = CHANNEL) -> None:
        for fault in faults:
            raise fault
        await hear(self, payload, channel=channel)

    monkeypatch.setattr(hub.Listener, "hear", hear_after_a_fault)
    execution_id = await prepared()
    async with asyncio.timeout(HANG_SECONDS), aclosing(streams.follow(execution_id, after=0)) as batches:
        for sequence, event in enumerate([STARTED, ASKED, SKIPPED], start=1):
            await in_thread(append, execution_id, event)
            assert [message.number for message in await anext(batches)] == [sequence]
    assert "ZeroDivisionError" in caplog.text


async def test_a_stream_outlives_the_loss_of_every_connection(streams: StreamHub) -> None:
    execution_id = await prepared()
    received: list[int] = []

    async def follow() -> None:
        async with aclosing(streams.follow(execution_id, after=0)) as batches:
            async for messages in batches:
                received.extend(message.number for message in messages)

    async with asyncio.timeout(3 * HANG_SECONDS):
        following = asyncio.create_task(follow())
        for _ in range(10):
            await in_thread(append, execution_id, STARTED)
            await in_thread(terminate, "scriptorium-listener")
            await in_thread(append, execution_id, ASKED, SKIPPED)
            await in_thread(terminate, "scriptorium-stream")
        await in_thread(append, execution_id, COMPLETE)
        await following
    assert received == list(range(1, 32))


async def test_streams_go_on_soon_after_a_long_outage(streams: StreamHub) -> None:
    execution_id = await prepared()
    watch = Stopwatch()

    async def follow(moments: list[float]) -> None:
        async with aclosing(streams.follow(execution_id, after=0)) as batches:
            async for messages in batches:
                moments += [watch.seconds() for message in messages if message.number == 2]

    await in_thread(append, execution_id, STARTED)
    arrived: list[float] = []
    following = [asyncio.create_task(follow(arrived)) for _ in range(20)]
    with outage():
        await asyncio.sleep(8.0)  # long enough for the tries to become rare
    over = watch.seconds()
    await in_thread(append, execution_id, ASKED, COMPLETE)
    async with asyncio.timeout(3 * HANG_SECONDS):
        await asyncio.gather(*following)
    assert len(arrived) == 20
    assert max(arrived) - over < 5.0


async def test_each_of_twenty_followers_gets_every_event_once(streams: StreamHub) -> None:
    execution_id = await prepared()
    ends = []

    async def follow() -> None:
        async with aclosing(streams.follow(execution_id, after=0)) as batches:
            ends.append([message.number async for messages in batches for message in messages])

    async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(follow())
        for _ in range(20):
            await in_thread(append, execution_id, STARTED, ASKED)
        await in_thread(append, execution_id, COMPLETE)
    assert ends == [list(range(1, 42))] * 20
