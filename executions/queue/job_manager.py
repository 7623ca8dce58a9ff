"""A worker takes its jobs several at a time, and ends them together."""

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

RECHECK_SECONDS = 1.0  # a connection that was used a moment ago is not looked at before it is used again
MAX_JOBS_PER_FETCH = 32  # jobs that are taken together, at most
BUSY_SHARE = 0.75  # of its jobs that a worker runs when it is nearly full
BATCH_SECONDS = 0.01  # that jobs of a worker that is nearly full wait for others, to be taken and ended with them
IDLE_SECONDS_BETWEEN_FETCHES = 5.0  # between two looks while no job waits, and none is told of
POOL_SECONDS = 10.0  # that a connection is waited for
CONNECTIONS = 2  # for jobs, at most: one takes them, as another one ends some
IDLE_SECONDS = 60.0  # then a connection that was not needed is closed, but for one
RECONNECT_SECONDS = 3.0  # the pool waits twice as long after each failed try, up to this; then it starts anew
RETRY_SECONDS = 1.0  # before jobs are ended that could not be, as the database was away

_NEW_JOB = '{"type": "job_inserted", "job_id": 0}'  # as its trigger tells it
_CHANNEL = f"procrastinate_queue_v1#{QUEUE}"  # over which it tells
_ANY_WAITS = """
SELECT EXISTS (
  SELECT FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = ANY (%(queues)s::varchar[])
) AS waits
"""
_TELL = "SELECT pg_notify(%(channel)s, %(payload)s)"  # its trigger tells of jobs that are new, not of those handed back

#: Our own function, in place of Procrastinate's: see `jobs`.
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
    """Takes as many jobs as there is room for when one is asked for, and ends together those that end together.

    Procrastinate's own manager takes one job after the other, and waits for the server each time: a worker of many
    short jobs would do nothing else.
    """

    def __init__(self, connector: BaseConnector, *, slots: int) -> None:
        """Prepare to take jobs.

        Args:
            connector: The connections for it.
            slots: Jobs that the worker runs at once.
        """
        super().__init__(connector)
        self._room = slots  # for jobs that are not taken
        self._enough = slots - int(BUSY_SHARE * slots)  # room for several
        self._roomy = asyncio.Event()
        self._notify_worker: Callable[[], Awaitable[None]] | None = None  # of new jobs
        self._found_nothing = 0  # queries in a row that found no job
        self._quiet_until = 0.0  # on the monotonic clock; no job waits, and a notification tells of a new one
        self._taken: deque[Job] = deque()  # and not handed out yet
        self._ended: list[Row] = []  # jobs whose end is not stored yet
        self._ending: asyncio.Task[None] | None = None

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Return the next job, None if there is none.

        Raises:
            ConnectorException: the database is away.
        """
        if not self._taken:
            if time.monotonic() < self._quiet_until:
                return None
            await self._take(queues=queues, worker_id=worker_id)
        return self._taken.popleft() if self._taken else None

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Have a job end soon, together with others, and wait for nothing.

        Its work is done: should its row stay, as this process is killed, the sweep of another worker ends it.
        """
        self._make_room()
        self._ended.append({"job_id": job.id, "status": status.value, "delete_job": delete_job})
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end_all(), name="jobs end")

    async def retry_job(self, job: Job, *arguments: Any, **named: Any) -> None:
        """Hand a job back, to be taken again."""
        self._make_room()
        await super().retry_job(job, *arguments, **named)

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listen until cancelled, over a connection that is made anew when it is lost; then a job may have been missed.

        Procrastinate's own listener wakes ten times a second.
        """
        names = list(get_channel_for_queues(queues))

        async def hear(payload: str, *, channel: str) -> None:
            self._quiet_until = 0.0
            await on_notification(channel=channel, notification=json.loads(payload))

        self._notify_worker = partial(hear, _NEW_JOB, channel=names[0])
        await listen(*names, connected=self._notify_worker, hear=hear)

    async def leave(self) -> None:
        """End what has to be ended, and let others take what was taken and not handed out.

        Raises:
            ConnectorException: the database is away; a sweep finds what is left.
        """
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait({self._ending})
        try:
            if self._taken:
                await self.connector.execute_query_async(_HAND_BACK, ids=[job.id for job in self._taken])
                await self.connector.execute_query_async(_TELL, channel=_CHANNEL, payload=_NEW_JOB)
                self._taken.clear()
        finally:
            await self._end(self._ended)

    def _make_room(self) -> None:
        self._room += 1
        self._quiet_until = 0.0
        if self._room >= self._enough:
            self._roomy.set()

    async def _take(self, **arguments: Any) -> None:
        """Take as many jobs as there is room for. Where none waits, the next query waits for a notification.

        Raises:
            ConnectorException: the database is away.
        """
        await self._until_roomy()
        many, per_user = max(1, min(MAX_JOBS_PER_FETCH, self._room)), limits().executions_per_user
        began, ask = time.monotonic(), self.connector.execute_query_all_async
        found = await ask(_FETCH_MANY, many=many, per_user=per_user, **arguments)
        self._taken += map(Job.from_row, found)
        self._room -= len(self._taken)
        self._found_nothing = 0 if self._taken else self._found_nothing + 1
        if self._notify_worker is not None and self._found_nothing > 1:
            self._quiet_until = began + IDLE_SECONDS_BETWEEN_FETCHES  # a notification that comes meanwhile ends it
            [row] = await ask(_ANY_WAITS, queues=arguments["queues"])
            if row["waits"]:  # for a lock, or for its moment: nothing tells when that is
                self._quiet_until = 0.0

    async def _until_roomy(self) -> None:
        """Wait for room for several jobs, if there is little, but no longer than a moment."""
        if self._room >= self._enough:
            return
        self._roomy.clear()
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                await self._roomy.wait()
        except TimeoutError:
            return

    async def _end_all(self) -> None:
        while self._ended:
            if self._room < self._enough:
                await asyncio.sleep(BATCH_SECONDS)
            jobs = list(self._ended)
            try:
                await self._end(jobs)
            except ConnectorException as error:
                logger.warning("%d jobs cannot be ended yet: %s", len(jobs), error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                del self._ended[: len(jobs)]
                await self._look_again()

    async def _look_again(self) -> None:
        """Have jobs looked for once more, if there were none: one may have waited for the lock of a job that has ended.

        Nobody else says so: of a new job the database tells once, when it is there. It would be found by and by.
        """
        if self._found_nothing and self._notify_worker is not None:
            await self._notify_worker()

    async def _end(self, jobs: list[Row]) -> None:
        """End jobs; a job that another worker has ended already stays as it is.

        Raises:
            ConnectorException: the database is away.
        """
        if jobs:
            ids, statuses, gone = zip(*((job["job_id"], job["status"], job["delete_job"]) for job in jobs), strict=True)
            arguments = {"ids": list(ids), "statuses": list(statuses), "gone": list(gone)}
            await self.connector.execute_query_async(_FINISH_MANY, **arguments)


def worker_app(app: App, *, slots: int) -> App:
    """Return the app for a worker that runs `slots` jobs at once, with a pool of its own on Django's database.

    Each query of Procrastinate is one call of one function. With a transaction around it, and a look at the connection
    before it, a worker would wait for the server four times instead of once, for every job twice.
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
