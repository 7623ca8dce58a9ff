"""The worker process: takes jobs, sends heartbeats, recovers executions, and informs its runners of changes."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
from django.conf import settings
from procrastinate.contrib.django import app
from procrastinate.exceptions import ConnectorException

from access.people import invitations
from access.services import remove_expired_sessions, remove_expired_tokens, remove_old_answers
from common.database.server import database_now
from common.errors import NotFound
from executions.db_threads import in_thread
from executions.engine.domain.errors import DatabaseUnavailable
from executions.engine.runtime.cancellation import shield_until_done
from executions.llm.client import model_client
from executions.queue.job_manager import worker_app
from executions.queue.jobs import QUEUE, enqueue_prune
from executions.services import staleness
from executions.worker import active_runs, duties, recovery
from executions.worker.active_runs import ACTIVE
from telemetry.pricing import prices
from telemetry.rate_limits import store

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.5  # a cancellation aborts a model call well within two seconds, even if its notification is lost
WAKE_SECONDS = 1.0  # maximum delay of due deferred steps and deadlines
PRICES_SECONDS = 10.0  # maximum age of prices and rate limits
STALE_SECONDS = 10.0  # maximum delay of `stale` in lists after a model's version
PRUNE_SECONDS = 3600.0  # between two runs of pruning
ERASE_SECONDS = 30.0  # between two looks for executions whose erasing was stopped
ROLL_UP_SECONDS = 60.0  # between two looks for blocks of calls that have ended or were changed
INDEX_SECONDS = 1.0  # between two looks for documents that the text index lacks
RESTART_SECONDS = 1.0  # delay before taking jobs again after an outage
RELEASE_SECONDS = 3.0  # time to release unfinished executions; during an outage it would take for ever


class Worker:
    """Runs executions until it is stopped. Any number of workers share the work."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ending = False
        self._missed_at = -math.inf  # monotonic time of the last outage that was seen
        self._followed = staleness.Followed(until=None, changed=0)  # the last run
        self._beat_at = database_now()  # time of the last heartbeat that was stored

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then let jobs finish for the grace period, release the rest, and return."""
        gc.collect()
        gc.freeze()  # exclude the imported modules from garbage collection: traversing them would pause every task
        if not await self._register(stop):
            return
        duties = [
            asyncio.create_task(self._repeat(settings.HEARTBEAT_SECONDS, self._beat), name="heartbeat"),
            asyncio.create_task(self._repeat(settings.RECOVERY_INTERVAL_SECONDS, self._recover), name="recovery"),
            asyncio.create_task(self._repeat(WATCH_SECONDS, self._watch), name="watch"),
            asyncio.create_task(self._repeat(WAKE_SECONDS, self._wake), name="wake"),
            asyncio.create_task(self._repeat(PRICES_SECONDS, self._look_at_prices), name="prices"),
            asyncio.create_task(self._repeat(STALE_SECONDS, self._follow_versions), name="stale"),
            asyncio.create_task(self._repeat(PRUNE_SECONDS, self._prune), name="prune"),
            asyncio.create_task(self._repeat(INDEX_SECONDS, self._index), name="index"),
            asyncio.create_task(self._repeat(ROLL_UP_SECONDS, self._roll_up), name="roll up"),
            asyncio.create_task(self._repeat(ERASE_SECONDS, self._erase), name="erase"),
            asyncio.create_task(self._repeat(PRUNE_SECONDS, self._erase_old), name="erase old"),
        ]
        jobs = asyncio.create_task(self._take_jobs(), name="jobs")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({jobs, stopped, *duties}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(jobs)
            for task in (stopped, *duties):
                task.cancel()
            ended = await asyncio.gather(*duties, return_exceptions=True)
            await self._leave()
        for outcome in (*ended, *([] if jobs.cancelled() else [jobs.exception()])):
            if isinstance(outcome, Exception):
                raise outcome

    async def _register(self, stop: asyncio.Event) -> bool:
        """Store the first heartbeat as soon as the database is available; return False if stopped before."""
        while not stop.is_set():
            try:
                await self._beat()
                return True
            except DatabaseUnavailable as error:
                self._missed_at = time.monotonic()
                logger.warning("the worker waits for the database: %s", error.__cause__ or error)
                with suppress(TimeoutError):  # no stop in this time: try again
                    await asyncio.wait_for(stop.wait(), RESTART_SECONDS)
        return False

    async def _end(self, jobs: asyncio.Task[None]) -> None:
        """Take no more jobs, let active runs finish for the grace period, and release the rest."""
        self._ending = True
        while not jobs.done():
            jobs.cancel()
            await asyncio.wait({jobs}, timeout=RELEASE_SECONDS)
        await active_runs.finish(settings.SHUTDOWN_GRACE_SECONDS)
        while left := await active_runs.stop(RELEASE_SECONDS):
            logger.warning("%d executions cannot be released; another worker will recover them", left)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await model_client().flush()
        except TimeoutError:
            logger.warning("the rate limit permits of this worker were not released; they expire in half a minute")
        try:
            await in_thread(recovery.unregister, name=self.name)
        except DatabaseUnavailable:
            logger.warning("the database is unavailable; this worker's heartbeat will expire")

    async def _repeat(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await duty()
            except DatabaseUnavailable:
                self._missed_at = time.monotonic()
                logger.warning("the database is unavailable; %s tries again", duty.__name__.strip("_"))
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        now = database_now()
        # Shielded: a heartbeat that is stored after `unregister` would register the worker again.
        await shield_until_done(in_thread(recovery.record_heartbeat, name=self.name, now=now))
        if self._is_silent():
            self._missed_at = time.monotonic()
        self._beat_at = now

    def _is_silent(self) -> bool:
        """Return whether this worker's own heartbeat is late. The cause may have delayed other workers, too."""
        # Between the time of the next heartbeat and the time at which others consider this worker lost.
        late = (settings.HEARTBEAT_SECONDS + settings.WORKER_SILENT_SECONDS) / 2
        return (database_now() - self._beat_at).total_seconds() > late

    async def _recover(self) -> None:
        missed = time.monotonic() - self._missed_at < settings.WORKER_SILENT_SECONDS
        found = await in_thread(
            recovery.recover,
            now=database_now(),
            worker=self.name,
            running=set(ACTIVE.values()),
            silent_seconds=settings.WORKER_SILENT_SECONDS,
            idle_seconds=settings.RECOVERY_INTERVAL_SECONDS,
            after_outage=missed or self._is_silent(),
        )
        if found:
            logger.warning("%d executions were recovered and enqueued again", found)

    async def _wake(self) -> None:
        if not await in_thread(recovery.is_any_due, now=database_now()):
            return
        await in_thread(duties.resume_deferred_steps, now=database_now())
        await in_thread(duties.resume_budget_blocked, now=database_now())
        await in_thread(duties.act_on_deadlines, now=database_now())

    async def _look_at_prices(self) -> None:
        await in_thread(prices.CONFIGURED.get, max_age=PRICES_SECONDS / 2)
        await in_thread(store.LIMITS.get, max_age=PRICES_SECONDS / 2)

    async def _follow_versions(self) -> None:
        self._followed = await in_thread(staleness.follow, since=self._followed.until, seen=self._followed.seen)

    async def _prune(self) -> None:
        await in_thread(remove_old_answers, now=database_now())
        await in_thread(remove_expired_tokens, now=database_now())
        await in_thread(invitations.remove_old, now=database_now())
        await in_thread(remove_expired_sessions, now=database_now())
        await in_thread(duties.prune_files, now=database_now())
        await in_thread(duties.prune_failures, now=database_now())
        await in_thread(duties.correct_inbox)
        if settings.EVENT_RETENTION_DAYS:
            await in_thread(enqueue_prune)

    async def _index(self) -> None:
        await duties.index_new_documents(is_busy=lambda: bool(ACTIVE))

    async def _erase(self) -> None:
        await duties.finish_erasures()

    async def _erase_old(self) -> None:
        await duties.erase_old(now=database_now())

    async def _roll_up(self) -> None:
        await duties.roll_up_calls()

    async def _watch(self) -> None:
        """Inform the runners of this process whose executions were changed from outside."""
        if not ACTIVE:
            return
        stored = await in_thread(recovery.versions, set(ACTIVE.values()))
        for runner, execution_id in list(ACTIVE.items()):
            runner.catch_up()
            if 0 < runner.version < stored.get(execution_id, 0):
                try:
                    await runner.refresh()
                except NotFound:
                    logger.warning("%s no longer exists", execution_id)

    async def _take_jobs(self) -> None:
        """Run Procrastinate's worker; restart it when it ends because of a database outage."""
        while not self._ending:
            try:
                await self._run_jobs()
            except (ConnectorException, psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("the job queue stopped: %s", error)
            await asyncio.sleep(RESTART_SECONDS)

    async def _run_jobs(self) -> None:
        # A separate app: the main one enqueues jobs on Django's connection, in the caller's transaction.
        own_app = worker_app(app, slots=settings.WORKER_CONCURRENCY)
        try:
            await own_app.open_async()
            try:
                await own_app.run_worker_async(
                    **settings.PROCRASTINATE_WORKER_DEFAULTS,
                    queues=[QUEUE],
                    name=self.name,
                    task_middleware=(),  # the default one checks Django's connections, which jobs do not hold
                )
            finally:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await own_app.job_manager.leave()
        finally:
            # Also if the pool was not open yet: its tasks swallow a cancellation, so nothing else ends them.
            await own_app.close_async()
