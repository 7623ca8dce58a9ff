"""The connections with which a worker takes jobs, several at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from procrastinate import PsycopgConnector, sql
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from psycopg_pool import AsyncConnectionPool

from common.database.connections import AsyncConnection
from common.database.notifications import listen
from common.database.parameters import connection_parameters
from common.database.pools import drain_when_silent
from common.database.server import look_async
from common.limits import limits
from executions.queue.jobs import QUEUE

RECHECK_SECONDS = 1.0  # a connection that was used within this time is not checked before its next use
MAX_JOBS_PER_FETCH = 32  # jobs taken at once
BUSY_SHARE = 0.75  # a worker that runs this share of its jobs counts as busy
BATCH_SECONDS = 0.01  # a busy worker waits this long to fetch or finish several jobs at once
IDLE_SECONDS_BETWEEN_FETCHES = 5.0  # while the queue is empty and no notification arrives
POOL_SECONDS = 10.0  # maximum wait for a connection
CONNECTIONS = 2  # maximum for jobs: one fetches them while another finishes some
IDLE_SECONDS = 60.0  # then an unused connection is closed, except one
RECONNECT_SECONDS = 3.0  # maximum backoff of the pool; then it starts anew
RETRY_SECONDS = 1.0  # delay before finishing jobs again after an outage

_FETCH = sql.queries["fetch_job"]
_FINISH = sql.queries["finish_job"]
_RETRY = sql.queries["retry_job"]
_NEW_JOB = '{"type": "job_inserted", "job_id": 0}'  # the payload that Procrastinate's trigger sends
_CHANNEL = f"procrastinate_queue_v1#{QUEUE}"  # the channel that Procrastinate's trigger uses
_ANY_WAITS = """
SELECT EXISTS (
  SELECT FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = ANY (%(queues)s::varchar[])
) AS waits
"""
# Procrastinate's trigger notifies of new jobs, not of returned ones
_NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"

#: Our own function instead of Procrastinate's; see `jobs`.
_FETCH_MANY = """
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
FROM executions_take_jobs(%(queues)s::varchar[], %(worker_id)s, %(max_jobs)s, %(per_user)s)
"""
_FINISH_MANY = """
SELECT procrastinate_finish_job_v1(ended.id, ended.status::procrastinate_job_status, gone)
FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(gone)s::boolean[]) AS ended (id, status, gone)
WHERE (SELECT job.status IN ('todo', 'doing') FROM procrastinate_jobs AS job WHERE job.id = ended.id)
"""
_RETURN_JOBS = """
UPDATE procrastinate_jobs AS job SET status = 'todo', worker_id = NULL
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'doing' AND NOT EXISTS (
  SELECT FROM procrastinate_jobs AS other WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
)
"""

logger = logging.getLogger(__name__)

Connection = AsyncConnection[Any]
Row = dict[str, Any]


class BatchingConnector(PsycopgConnector):
    """Fetches as many jobs as there are free slots, and finishes several jobs with one query.

    Procrastinate fetches one job at a time and waits for the server each time. With many short jobs, a worker would
    spend most of its time on this.
    """

    def __init__(self, *, slots: int, **arguments: Any) -> None:
        """Create a connector.

        Args:
            slots: Number of jobs that the worker runs at once.
            arguments: Arguments of Procrastinate's connector.
        """
        super().__init__(**arguments)
        self._free_slots = slots  # not occupied by fetched or running jobs
        self._min_free_slots = slots - int(BUSY_SHARE * slots)  # from which several jobs are fetched
        self._slots_changed = asyncio.Event()
        self._notify_new_job: Callable[[], Awaitable[None]] | None = None  # makes the worker fetch jobs
        self._empty_fetches = 0  # in a row
        self._idle_until = 0.0  # monotonic time; the queue was empty, and a notification announces new jobs
        self._fetched: deque[Row] = deque()  # not handed out yet
        self._finished: list[Row] = []  # not finished in the database yet
        self._finish_task: asyncio.Task[None] | None = None

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> Row:
        """Return the next job; pass other queries on."""
        if query != _FETCH:
            return await super().execute_query_one_async(query, **arguments)
        if not self._fetched:
            if time.monotonic() < self._idle_until:
                return {"id": None}
            await self._fetch(**arguments)
        return self._fetched.popleft() if self._fetched else {"id": None}

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        """Schedule the end of a job, which is stored together with others; pass other queries on.

        An ended job has done its work. If this process dies before the job's row is updated, another worker's recovery
        does it.
        """
        if query in {_RETRY, _FINISH}:
            self._free_slots += 1
            self._idle_until = 0.0
            if self._free_slots >= self._min_free_slots:
                self._slots_changed.set()
        if query != _FINISH:
            await super().execute_query_async(query, **arguments)
            return
        self._finished.append(arguments)
        if self._finish_task is None or self._finish_task.done():
            self._finish_task = asyncio.create_task(self._finish_all(), name="jobs end")

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled. A lost connection is replaced; afterwards a job may have been missed.

        Procrastinate's own listener wakes ten times a second.
        """
        names = list(channels)

        async def on_payload(payload: str, *, channel: str) -> None:
            self._idle_until = 0.0
            await on_notification(channel=channel, payload=payload)

        self._notify_new_job = partial(on_payload, _NEW_JOB, channel=names[0])
        await listen(*names, connected=self._notify_new_job, hear=on_payload)

    async def leave(self) -> None:
        """Store the end of finished jobs, and return fetched jobs that were not handed out to the queue.

        Raises:
            ConnectorException: the database cannot be reached; recovery finds the jobs.
        """
        if self._finish_task is not None:
            self._finish_task.cancel()
            await asyncio.wait({self._finish_task})
        try:
            if self._fetched:
                await super().execute_query_async(_RETURN_JOBS, ids=[row["id"] for row in self._fetched])
                await super().execute_query_async(_NOTIFY, channel=_CHANNEL, payload=_NEW_JOB)
                self._fetched.clear()
        finally:
            await self._finish(self._finished)

    async def _fetch(self, **arguments: Any) -> None:
        """Fetch jobs for the free slots. If the queue is empty, wait for a notification before the next fetch.

        Raises:
            ConnectorException: the database cannot be reached.
        """
        await self._wait_for_slots()
        max_jobs, per_user = max(1, min(MAX_JOBS_PER_FETCH, self._free_slots)), limits().executions_per_user
        started = time.monotonic()
        arguments |= {"max_jobs": max_jobs, "per_user": per_user}
        self._fetched += await self.execute_query_all_async(_FETCH_MANY, **arguments)
        self._free_slots -= len(self._fetched)
        self._empty_fetches = 0 if self._fetched else self._empty_fetches + 1
        if self._notify_new_job is not None and self._empty_fetches > 1:
            self._idle_until = started + IDLE_SECONDS_BETWEEN_FETCHES  # a notification that arrives meanwhile resets it
            [row] = await self.execute_query_all_async(_ANY_WAITS, queues=arguments["queues"])
            if row["waits"]:  # jobs wait for a lock or for their start time, which no notification announces
                self._idle_until = 0.0

    async def _wait_for_slots(self) -> None:
        """Wait a short time for several free slots, if there are few."""
        if self._free_slots >= self._min_free_slots:
            return
        self._slots_changed.clear()
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await self._slots_changed.wait()
        except TimeoutError:
            return

    async def _finish_all(self) -> None:
        while self._finished:
            if self._free_slots < self._min_free_slots:
                await asyncio.sleep(BATCH_SECONDS)
            jobs = list(self._finished)
            try:
                await self._finish(jobs)
            except ConnectorException as error:
                logger.warning("the end of %d jobs cannot be stored yet: %s", len(jobs), error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                del self._finished[: len(jobs)]
                await self._refetch_if_empty()

    async def _refetch_if_empty(self) -> None:
        """Fetch once more if the last fetch found nothing: a job may have waited for the ended job's lock.

        No notification announces that. Without this fetch the job would be found only later.
        """
        if self._empty_fetches and self._notify_new_job is not None:
            await self._notify_new_job()

    async def _finish(self, jobs: list[Row]) -> None:
        """Store the end of jobs; jobs that have already ended are skipped.

        Raises:
            ConnectorException: the database cannot be reached.
        """
        if jobs:
            columns = ((job["job_id"], job["status"], job["delete_job"]) for job in jobs)
            ids, statuses, deleted = zip(*columns, strict=True)
            arguments = {"ids": list(ids), "statuses": list(statuses), "gone": list(deleted)}
            await super().execute_query_async(_FINISH_MANY, **arguments)


def connector(*, slots: int) -> BatchingConnector:
    """Return a connector with a pool of its own on Django's database, for a worker with `room` slots.

    Each of Procrastinate's operations is one function call in SQL. A transaction around it and a connection check
    before it would add round trips: four instead of one, twice per job.
    """
    return BatchingConnector(slots=slots, kwargs=connection_parameters(), pool_factory=_pool)


def _pool(**arguments: Any) -> AsyncConnectionPool[Connection]:
    last_used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    async def check(connection: Connection) -> None:
        if time.monotonic() - last_used.get(connection, 0.0) > RECHECK_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
        last_used[connection] = time.monotonic()

    sizes = {"min_size": 1, "max_size": CONNECTIONS, "max_idle": IDLE_SECONDS}
    own = {
        **sizes,
        "connection_class": AsyncConnection,
        "check": check,
        "configure": _configure,
        "timeout": POOL_SECONDS,
        "reconnect_timeout": RECONNECT_SECONDS,
    }
    pool = AsyncConnectionPool(**{**arguments, **own})
    drain_when_silent(pool)
    return pool


async def _configure(connection: Connection) -> None:
    await connection.set_autocommit(True)
    await look_async(connection)
