"""A worker's access to the queue: it fetches several jobs with one query, and finishes several with one query."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from procrastinate import App, PsycopgConnector
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback, get_channel_for_queues
from psycopg_pool import AsyncConnectionPool

from common.database.connections import AsyncConnection
from common.database.notifications import listen
from common.database.parameters import connection_parameters
from common.database.pools import drain_when_silent
from common.database.server import probe_async
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

_NEW_JOB = '{"type": "job_inserted", "job_id": 0}'  # the payload that Procrastinate's trigger sends
_CHANNEL = f"procrastinate_queue_v1#{QUEUE}"  # the channel that Procrastinate's trigger uses
_ANY_WAITS = """
SELECT EXISTS (
  SELECT FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = ANY (%(queues)s::varchar[])
) AS waits
"""
#: Procrastinate's trigger notifies of new jobs, but not of returned ones.
_NOTIFY = "SELECT pg_notify(%(channel)s, %(payload)s)"

#: Our own function instead of Procrastinate's; see `jobs`.
_FETCH_MANY = """
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
FROM executions_take_jobs(%(queues)s::varchar[], %(worker_id)s, %(many)s, %(per_user)s)
"""
_FINISH_MANY = """
SELECT procrastinate_finish_job_v1(ended.id, ended.status::procrastinate_job_status, gone)
FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(gone)s::boolean[]) AS ended (id, status, gone)
WHERE (SELECT job.status IN ('todo', 'doing') FROM procrastinate_jobs AS job WHERE job.id = ended.id)
"""
_HAND_BACK = """
UPDATE procrastinate_jobs AS job SET status = 'todo', worker_id = NULL
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'doing' AND NOT EXISTS (
  SELECT FROM procrastinate_jobs AS other WHERE other.queueing_lock = job.queueing_lock AND other.status = 'todo'
)
"""

logger = logging.getLogger(__name__)

Connection = AsyncConnection[Any]
Row = dict[str, Any]


class BatchingJobManager(JobManager):
    """Fetches as many jobs as there are free slots, and finishes several jobs with one query.

    Procrastinate fetches one job at a time and waits for the server each time. With many short jobs, a worker would
    spend most of its time on this.
    """

    def __init__(self, connector: BaseConnector, *, slots: int) -> None:
        """Prepare to fetch jobs.

        Args:
            connector: The connections to the queue's database.
            slots: Number of jobs that the worker runs at once.
        """
        super().__init__(connector)
        self._free_slots = slots  # not occupied by fetched or running jobs
        self._enough = slots - int(BUSY_SHARE * slots)  # from which several jobs are fetched
        self._enough_free = asyncio.Event()
        self._notify_worker: Callable[[], Awaitable[None]] | None = None  # reports new jobs
        self._found_nothing = 0  # queries in a row that found no job
        self._quiet_until = 0.0  # monotonic time; the queue was empty, and a notification announces new jobs
        self._fetched: deque[Job] = deque()  # not handed out yet
        self._ended: list[Row] = []  # jobs whose end is not stored yet
        self._ending: asyncio.Task[None] | None = None

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Return the next job, None if there is none.

        Raises:
            ConnectorException: the database cannot be reached.
        """
        if not self._fetched:
            if time.monotonic() < self._quiet_until:
                return None
            await self._fetch_jobs(queues=queues, worker_id=worker_id)
        return self._fetched.popleft() if self._fetched else None

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Schedule the end of a job. It is stored together with the ends of other jobs.

        The job has done its work. If this process dies before the row is updated, another worker's recovery ends the
        job.
        """
        self._release_slot()
        self._ended.append({"job_id": job.id, "status": status.value, "delete_job": delete_job})
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end_all(), name="jobs end")

    async def retry_job(self, job: Job, *arguments: Any, **named: Any) -> None:
        """Return a job to the queue, so that a worker fetches it again."""
        self._release_slot()
        await super().retry_job(job, *arguments, **named)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listen until cancelled. A lost connection is replaced; afterwards a job may have been missed.

        Procrastinate's own listener wakes ten times a second.
        """
        names = list(get_channel_for_queues(queues))

        async def hear(payload: str, *, channel: str) -> None:
            self._quiet_until = 0.0
            await on_notification(channel=channel, notification=json.loads(payload))

        self._notify_worker = partial(hear, _NEW_JOB, channel=names[0])
        await listen(*names, connected=self._notify_worker, hear=hear)

    async def leave(self) -> None:
        """Store the end of finished jobs, and return fetched jobs that were not handed out to the queue.

        Raises:
            ConnectorException: the database cannot be reached; recovery finds the jobs.
        """
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        try:
            if self._fetched:
                await self.connector.execute_query_async(_HAND_BACK, ids=[job.id for job in self._fetched])
                await self.connector.execute_query_async(_NOTIFY, channel=_CHANNEL, payload=_NEW_JOB)
                self._fetched.clear()
        finally:
            await self._end(self._ended)

    def _release_slot(self) -> None:
        self._free_slots += 1
        self._quiet_until = 0.0
        if self._free_slots >= self._enough:
            self._enough_free.set()

    async def _fetch_jobs(self, **arguments: Any) -> None:
        """Fetch jobs for the free slots. If the queue is empty, wait for a notification before the next fetch.

        Raises:
            ConnectorException: the database cannot be reached.
        """
        await self._wait_for_slots()
        many, per_user = max(1, min(MAX_JOBS_PER_FETCH, self._free_slots)), limits().executions_per_user
        began, ask = time.monotonic(), self.connector.execute_query_all_async
        found = await ask(_FETCH_MANY, many=many, per_user=per_user, **arguments)
        self._fetched += map(Job.from_row, found)
        self._free_slots -= len(self._fetched)
        self._found_nothing = 0 if self._fetched else self._found_nothing + 1
        if self._notify_worker is not None and self._found_nothing > 1:
            self._quiet_until = began + IDLE_SECONDS_BETWEEN_FETCHES  # a notification that arrives meanwhile resets it
            [row] = await ask(_ANY_WAITS, queues=arguments["queues"])
            if row["waits"]:  # jobs wait for a lock or for their start time, which no notification announces
                self._quiet_until = 0.0

    async def _wait_for_slots(self) -> None:
        """Wait a short time for several free slots, if there are few."""
        if self._free_slots >= self._enough:
            return
        self._enough_free.clear()
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await self._enough_free.wait()
        except TimeoutError:
            return  # a few slots are better than a longer wait

    async def _end_all(self) -> None:
        while self._ended:
            if self._free_slots < self._enough:
                await asyncio.sleep(BATCH_SECONDS)
            jobs = list(self._ended)
            try:
                await self._end(jobs)
            except ConnectorException as error:
                logger.warning("the end of %d jobs cannot be stored yet: %s", len(jobs), error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                del self._ended[: len(jobs)]
                await self._fetch_again()

    async def _fetch_again(self) -> None:
        """Fetch once more if the last fetch found nothing: a job may have waited for the ended job's lock.

        No notification announces that. Without this fetch the job would be found only later.
        """
        if self._found_nothing and self._notify_worker is not None:
            await self._notify_worker()

    async def _end(self, jobs: list[Row]) -> None:
        """Store the end of jobs; jobs that have already ended are skipped.

        Raises:
            ConnectorException: the database cannot be reached.
        """
        if jobs:
            ids, statuses, gone = zip(*((job["job_id"], job["status"], job["delete_job"]) for job in jobs), strict=True)
            arguments = {"ids": list(ids), "statuses": list(statuses), "gone": list(gone)}
            await self.connector.execute_query_async(_FINISH_MANY, **arguments)


def worker_app(app: App, *, slots: int) -> App:
    """Return the app for a worker that runs `slots` jobs at once, with its own connection pool to Django's database.

    Each of Procrastinate's operations is one function call in SQL. A transaction around it and a connection check
    before it would add round trips: four instead of one, twice per job.
    """
    made = app.with_connector(PsycopgConnector(kwargs=connection_parameters(), pool_factory=_pool))
    made.job_manager = BatchingJobManager(made.connector, slots=slots)
    return made


def _pool(**arguments: Any) -> AsyncConnectionPool[Connection]:
    used: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    async def check(connection: Connection) -> None:
        if time.monotonic() - used.get(connection, 0.0) > RECHECK_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
        used[connection] = time.monotonic()

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
    await probe_async(connection)
