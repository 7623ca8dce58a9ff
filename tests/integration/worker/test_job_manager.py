"""Fetching several jobs at once in order, and finishing them without waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.jobs import Job, Status

from access.user import User
from executions.db_threads import in_thread
from executions.persistence.journal import connection as line
from executions.queue import job_manager
from executions.queue.job_manager import MAX_JOBS_PER_FETCH, worker_app
from executions.queue.jobs import QUEUE, enqueue_prune
from tests.factories.executions import outage, start
from tests.integration.rows_read import rows_read
from tests.support.waiting import HANG_SECONDS

_JOBS = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status, priority)
SELECT 'executions', 'executions.advance', number::text, jsonb_build_object('user', mod(number, 20)), 'todo', -number
FROM generate_series(1, %s) AS made (number)
"""


class Watched:
    """An app that takes jobs, and how often it has asked for some."""

    def __init__(self, taking: App, worker_id: int) -> None:
        self.jobs: Any = taking.job_manager
        self.connector: Any = taking.connector
        self.worker_id = worker_id

    async def take(self) -> Job | None:
        """Take a job as Procrastinate's worker does."""
        job: Job | None = await self.jobs.fetch_job(queues=[QUEUE], worker_id=self.worker_id)
        return job


@asynccontextmanager
async def taking(*, room: int) -> AsyncIterator[Watched]:
    """Take jobs, as a worker that runs so many at once."""
    made = worker_app(app, slots=room)
    async with made.open_async():
        yield Watched(made, await made.job_manager.register_worker())


async def statuses() -> dict[str, int]:
    """Return how many jobs there are, by status."""
    found = await in_thread(lambda: list(ProcrastinateJob.objects.values_list("status", flat=True)))
    return {status: found.count(status) for status in set(found)}


@pytest.fixture
async def jobs(ann: User) -> list[int]:
    """Five jobs, in their order."""
    for number in range(5):
        await in_thread(start, ann, scope=f"p{number}")
    return await in_thread(lambda: list(ProcrastinateJob.objects.order_by("id").values_list("id", flat=True)))


async def test_as_many_are_taken_together_as_there_is_room_for_and_handed_out_in_order(jobs: list[int]) -> None:
    async with taking(room=3) as worker:
        first = await worker.take()
        assert await statuses() == {"doing": 3, "todo": 2}
        taken = [first, await worker.take(), await worker.take()]
        assert [job.id for job in taken if job is not None] == jobs[:3]
        assert taken[0] is not None
        await worker.jobs.finish_job(taken[0], Status.SUCCEEDED, delete_job=True)
        fourth = await worker.take()
        assert (await statuses())["todo"] == 1  # there was room for one
        await worker.jobs.leave()
        assert await statuses() == {"doing": 3, "todo": 1}
        assert fourth is not None
        assert fourth.id == jobs[3]


async def test_a_worker_that_is_nearly_full_waits_a_moment_for_room_for_several(
    jobs: list[int], ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_manager, "BATCH_SECONDS", HANG_SECONDS)
    for number in range(6):
        await in_thread(start, ann, scope=f"q{number}")
    async with taking(room=8) as worker:
        taken = [job for job in [await worker.take() for _ in range(8)] if job is not None]
        assert (await statuses())["todo"] == 3
        await worker.jobs.finish_job(taken[0], Status.SUCCEEDED, delete_job=True)
        following = asyncio.create_task(worker.take())
        for _ in range(5):
            await asyncio.sleep(0)
        await worker.jobs.finish_job(taken[1], Status.SUCCEEDED, delete_job=True)
        assert await following is not None
        assert (await statuses())["todo"] == 1
        assert await worker.take() is not None  # that was taken with it
        monkeypatch.undo()
        await worker.jobs.finish_job(taken[2], Status.SUCCEEDED, delete_job=True)
        assert await worker.take() is not None  # no other job has ended meanwhile
        assert "todo" not in await statuses()
        await worker.jobs.leave()


async def test_after_a_job_has_ended_it_is_looked_again_for_one_that_waited_for_its_lock(jobs: list[int]) -> None:
    same = await in_thread(lambda: ProcrastinateJob.objects.get(id=jobs[0]).lock)
    await in_thread(ProcrastinateJob.objects.filter(id__in=jobs[1:]).update, lock=same)
    told = asyncio.Event()

    async def hear(**_: Any) -> None:
        told.set()

    async with taking(room=5) as worker:
        listening = asyncio.create_task(worker.jobs.listen_for_jobs(on_notification=hear, queues=[QUEUE]))
        async with asyncio.timeout(HANG_SECONDS):
            await told.wait()  # it listens now: jobs may have come before
        told.clear()
        first = await worker.take()
        assert first is not None
        assert await worker.take() is None
        assert not told.is_set()
        await worker.jobs.finish_job(first, Status.SUCCEEDED, delete_job=True)
        async with asyncio.timeout(HANG_SECONDS):
            await told.wait()
        following = await worker.take()
        listening.cancel()
        await asyncio.wait({listening})
        await worker.jobs.leave()
    assert following is not None
    assert [first.id, following.id] == jobs[:2]


async def test_what_is_urgent_goes_first_and_two_jobs_of_one_lock_are_not_taken_together(jobs: list[int]) -> None:
    urgent = await in_thread(lambda: ProcrastinateJob.objects.get(id=jobs[4]).args)
    await in_thread(ProcrastinateJob.objects.filter(id=jobs[4]).update, args={**urgent, "turn": -1})
    same = await in_thread(lambda: ProcrastinateJob.objects.get(id=jobs[0]).lock)
    await in_thread(ProcrastinateJob.objects.filter(id=jobs[1]).update, lock=same)
    async with taking(room=MAX_JOBS_PER_FETCH) as worker:
        taken = [await worker.take() for _ in range(4)]
        assert [job.id for job in taken if job is not None] == [jobs[4], jobs[0], jobs[2], jobs[3]]
        assert await worker.take() is None


async def test_what_was_taken_and_not_handed_out_goes_back(jobs: list[int]) -> None:
    async with taking(room=5) as worker:
        job = await worker.take()
        assert await statuses() == {"doing": 5}
        await worker.jobs.leave()
        assert await statuses() == {"doing": 1, "todo": 4}
        async with taking(room=1) as other:
            following = await other.take()
        assert job is not None
        assert following is not None
        assert [job.id, following.id] == jobs[:2]


async def test_a_job_that_another_worker_has_ended_does_not_block_others(jobs: list[int]) -> None:
    async with taking(room=5) as worker:
        taken = [job for job in [await worker.take() for _ in range(3)] if job is not None]
        await in_thread(ProcrastinateJob.objects.filter(id=taken[1].id).update, status="failed")
        for job in taken:
            await worker.jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        await worker.jobs.leave()
    assert await statuses() == {"failed": 1, "todo": 2}


async def test_jobs_that_end_while_the_database_is_away_are_ended_when_it_is_back(jobs: list[int]) -> None:
    async with taking(room=5) as worker:
        ended = [job for job in [await worker.take() for _ in range(5)] if job is not None]
        with outage():
            for job in ended[:2]:
                await worker.jobs.finish_job(job, Status.SUCCEEDED, delete_job=True)
        async with asyncio.timeout(HANG_SECONDS):
            while await statuses() == {"doing": 5}:
                await asyncio.sleep(0.05)
        assert await statuses() == {"doing": 3}
        await worker.jobs.leave()


async def test_a_job_that_is_tried_again_makes_room(jobs: list[int]) -> None:
    async with taking(room=1) as worker:
        job = await worker.take()
        assert job is not None
        await worker.jobs.retry_job(job, priority=-9)
        following = await worker.take()
        assert following is not None
        assert following.id == jobs[0]  # its scope's turn is still the first


async def test_other_jobs_than_those_of_executions_are_taken_as_well(ann: User) -> None:
    await in_thread(enqueue_prune)
    async with taking(room=2) as worker:
        job = await worker.take()
        assert job is not None
        assert job.task_name == "executions.prune"


@asynccontextmanager
async def listening(worker: Watched) -> AsyncIterator[asyncio.Event]:
    """Have the worker listen, and provide what is set whenever it is told of jobs."""
    told = asyncio.Event()

    async def hear(**_: Any) -> None:
        told.set()

    task = asyncio.create_task(worker.jobs.listen_for_jobs(on_notification=hear, queues=[QUEUE]))
    async with asyncio.timeout(HANG_SECONDS):
        await told.wait()
    told.clear()
    yield told
    task.cancel()
    await asyncio.wait({task})


def looks(monkeypatch: pytest.MonkeyPatch, worker: Watched) -> list[str]:
    """Return where each statement that looks for jobs is noted."""
    sent: list[str] = []
    ask = worker.connector.execute_query_all_async

    async def note(query: str, **arguments: Any) -> Any:
        sent.append(query)
        return await ask(query, **arguments)

    monkeypatch.setattr(worker.connector, "execute_query_all_async", note)
    return sent


def cut_listeners() -> None:
    """Have the server end the connections that listen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'scriptorium-listener' AND datname = current_database()"
        )


async def test_where_no_job_waits_it_is_not_looked_again_until_one_is_told_of(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_manager, "IDLE_SECONDS_BETWEEN_FETCHES", HANG_SECONDS)
    async with taking(room=5) as worker, listening(worker) as told:
        sent = looks(monkeypatch, worker)
        assert [await worker.take() for _ in range(10)] == [None] * 10
        assert len(sent) == 3  # two looks, and whether any waits
        await in_thread(start, ann)
        async with asyncio.timeout(HANG_SECONDS):
            await told.wait()
        assert await worker.take() is not None


async def test_a_worker_that_does_not_listen_goes_on_looking(monkeypatch: pytest.MonkeyPatch, ann: User) -> None:
    monkeypatch.setattr(job_manager, "IDLE_SECONDS_BETWEEN_FETCHES", HANG_SECONDS)
    async with taking(room=5) as worker:
        assert [await worker.take() for _ in range(5)] == [None] * 5
        await in_thread(start, ann)
        assert await worker.take() is not None


async def test_where_a_job_waits_for_a_lock_it_is_looked_again(
    jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker holds the lock, and does not say when it lets go."""
    monkeypatch.setattr(job_manager, "IDLE_SECONDS_BETWEEN_FETCHES", HANG_SECONDS)
    same = await in_thread(lambda: ProcrastinateJob.objects.get(id=jobs[0]).lock)
    await in_thread(ProcrastinateJob.objects.filter(id__in=jobs[1:]).update, lock=same)
    async with taking(room=1) as other, taking(room=5) as worker:
        assert await other.take() is not None
        async with listening(worker):
            assert [await worker.take() for _ in range(4)] == [None] * 4
            await in_thread(ProcrastinateJob.objects.filter(id=jobs[0]).delete)
            following = await worker.take()
        assert following is not None
        assert following.id == jobs[1]


async def test_jobs_that_are_handed_back_are_told_of(jobs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_manager, "IDLE_SECONDS_BETWEEN_FETCHES", HANG_SECONDS)
    async with taking(room=5) as leaving, taking(room=5) as staying:
        assert await leaving.take() is not None
        async with listening(staying) as told:
            await in_thread(ProcrastinateJob.objects.filter(status="todo").delete)
            assert [await staying.take() for _ in range(4)] == [None] * 4
            await leaving.jobs.leave()
            async with asyncio.timeout(HANG_SECONDS):
                await told.wait()
            assert await staying.take() is not None


async def test_a_job_that_came_while_the_listener_was_cut_off_is_told_of_when_it_is_back(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_manager, "IDLE_SECONDS_BETWEEN_FETCHES", HANG_SECONDS)
    async with taking(room=5) as worker, listening(worker) as told:
        assert [await worker.take() for _ in range(4)] == [None] * 4
        await in_thread(cut_listeners)
        async with asyncio.timeout(HANG_SECONDS):
            await told.wait()
        await in_thread(start, ann)
        assert await worker.take() is not None


def test_the_first_job_is_found_by_index_whatever_statistics_say(ann: User) -> None:
    """The planner believes that the table is empty, and would read and sort all jobs for each that is taken."""
    many = 3000
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE procrastinate_jobs")
        cursor.execute(_JOBS, [many])
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        worker_id = cursor.fetchone()[0]
        with rows_read("procrastinate_jobs") as read:
            cursor.execute("SELECT id FROM executions_take_jobs('{executions}', %s, 10, 1000)", [worker_id])
            assert len(cursor.fetchall()) == 10
        assert read[0] < many
        transaction.set_rollback(True)


@pytest.mark.parametrize("room", [1, 5])
async def test_no_connection_compiles_its_plans(room: int, ann: User) -> None:
    async with taking(room=room) as worker:
        found = await worker.connector.execute_query_one_async("SELECT current_setting('jit') AS jit")
        assert found == {"jit": "off"}
    assert await line.reading.fetch_all([("SELECT current_setting('jit')", [])]) == [[("off",)]]
