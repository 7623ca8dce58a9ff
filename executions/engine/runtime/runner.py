"""Runs the ready steps of an execution in parallel, until it has ended or waits."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from uuid import UUID

from common.errors import Conflict, DomainError, Invalid
from executions.engine.domain.calls import Call
from executions.engine.domain.errors import DatabaseUnavailable, IllegalTransition, StaleFencingToken
from executions.engine.domain.execution import Execution, Failure
from executions.engine.domain.states import WORKING, FailureCode, StepStatus
from executions.engine.ports import Ports, Transition, by_runner
from executions.engine.runtime.attempts import Attempt
from executions.engine.runtime.cancellation import shield_until_done
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.step_executor import LLMStepExecutor
from executions.engine.transitions import claims, core
from executions.engine.transitions.core import Decide
from executions.engine.transitions.planner import ready_steps
from workflows.definitions.definition import WorkflowDefinition

logger = logging.getLogger(__name__)

MAX_PARALLEL_STEPS = 8  # of one execution
MAX_REJECTED_COMMITS = 3  # of one step, without a change of the execution in between


class ExecutionRunner:
    """Runs one execution for one worker. Its claim fences off every earlier worker."""

    def __init__(self, ports: Ports, *, execution_id: UUID, worker: str) -> None:
        self._ports = ports
        self._id = execution_id
        self._worker = worker
        self._execution: Execution | None = None
        self._definition: WorkflowDefinition | None = None
        self._documents = DocumentCache(ports.repositories)
        self._tasks: dict[str, asyncio.Task[Execution]] = {}
        self._executors: dict[str, LLMStepExecutor] = {}  # by step id, of the tasks
        self._refused: Counter[str] = Counter()  # rejected commits by step, since the execution last changed
        self._left: list[str] = []  # steps that were working at the claim and have no task yet
        self._moved = asyncio.Event()  # a task has ended, or refresh() has read a change
        self._fenced = False  # another worker has claimed the execution

    @property
    def version(self) -> int:
        """Version of the execution that the runner uses; 0 before the claim."""
        return 0 if self._execution is None else self._execution.version

    async def run(self, *, take_over: bool = True) -> Execution:
        """Claim the execution and run it until no step can continue; return its final state.

        An execution that is waiting or has ended is returned unchanged.

        Raises:
            NotFound: there is no such execution.
            AlreadyClaimed: another worker runs it, and `take_over` is False.
            DatabaseUnavailable: the database cannot be reached; the next claim continues from what was stored.
        """
        return await self._run(until_idle=True, take_over=take_over)

    async def step(self) -> Execution:
        """Claim the execution, run the next ready step, and release the execution.

        Raises:
            NotFound: there is no such execution.
            DatabaseUnavailable: the database cannot be reached.
        """
        return await self._run(until_idle=False, take_over=True)

    def catch_up(self) -> None:
        """Use the newest version that a step has read: it may contain changes made by others."""
        if self._execution is None:
            return
        before = self._execution
        for executor in self._executors.values():
            self._see(executor.execution)
        if self._execution is not before:
            self._moved.set()

    async def refresh(self) -> None:
        """Read the execution after a change from outside: stop cancelled steps, start answered ones.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        stored = await self._ports.repositories.executions.get(self._id)
        if self._execution is None:
            return
        is_claimed_by_another = stored.claimed_by not in {None, self._worker}
        self._fenced = is_claimed_by_another or stored.fencing_token > self._execution.fencing_token
        self._see(stored)
        if stored.ended or self._fenced:
            for task in self._tasks.values():
                task.cancel()
        self._moved.set()

    async def _run(self, *, until_idle: bool, take_over: bool) -> Execution:
        try:
            await shield_until_done(self._claim(take_over))
            await self._run_until_idle(until_idle=until_idle)
            await self._release()
        except asyncio.CancelledError:
            await self._stop_tasks()
            await shield_until_done(self._release())
            raise
        except (IllegalTransition, StaleFencingToken):
            await self._stop_tasks()
            return await self._ports.repositories.executions.get(self._id)
        finally:
            await self._stop_tasks()
        return self._now

    async def _claim(self, take_over: bool) -> None:
        def claim(execution: Execution, context: core.Context) -> core.Change:
            who, most = self._worker, self._ports.max_recoveries
            return claims.claim(execution, worker=who, max_recoveries=most, take_over=take_over, context=context)

        transition = Transition(execution_id=self._id, fencing_token=None, decide=claim)
        self._execution = await self._ports.journal.commit(transition)
        execution = self._execution
        definition = await self._ports.definitions.get(execution.workflow_id, execution.workflow_version)
        self._definition = definition if execution.script is None else definition.rehearsed

    async def _run_until_idle(self, *, until_idle: bool) -> None:
        """Run every ready step until none is left.

        Raises:
            StaleFencingToken: another worker has claimed the execution.
            DatabaseUnavailable: the database cannot be reached.
        """
        # Steps that an earlier worker left in the middle come first. Later, every working step has a task here.
        self._left = [step.step_id for step in self._now.steps.values() if step.status in WORKING]
        self._start_tasks(limit=None if until_idle else 1)
        while self._tasks:
            await self._wait_for_change()
            for step_id in [step_id for step_id, task in self._tasks.items() if task.done()]:
                await self._finish(step_id, self._tasks.pop(step_id))
            if self._fenced:
                raise StaleFencingToken(self._id, fencing_token=self._now.fencing_token)
            if until_idle:
                self._start_tasks()

    async def _wait_for_change(self) -> None:
        """Wait until a step's task has ended, or refresh() was called."""
        await self._moved.wait()
        self._moved.clear()

    def _start_tasks(self, *, limit: int | None = None) -> None:
        """Start a task per startable step while there are free slots, inherited steps first."""
        now, definition = self._now, self._definition
        room = self._free_slots() if limit is None else limit
        if now.ended or definition is None or room <= 0:
            return
        for step_id in self._waiting()[:room]:
            self._start(definition, step_id, pulls=limit is None)
        self._left = [step_id for step_id in self._left if step_id not in self._tasks]

    def _waiting(self) -> list[str]:
        """Return the steps that can run and have no task."""
        now = self._now
        ready = [step.step_id for step in ready_steps(now)]
        worked_over = [step.step_id for step in now.steps.values() if step.status is StepStatus.REMEDIATING]
        wanted = dict.fromkeys([*self._left, *worked_over, *ready])  # a change request has begun an attempt
        return [step_id for step_id in wanted if step_id not in self._tasks]

    def _free_slots(self) -> int:
        """Return how many more steps may start, beside the running and the prepared ones."""
        most = MAX_PARALLEL_STEPS
        if self._definition is not None and self._definition.max_parallel is not None:
            most = min(most, self._definition.max_parallel)
        return most - len(self._tasks) - sum(executor.claimed for executor in self._executors.values())

    def _start(
        self, definition: WorkflowDefinition, step_id: str, *, begun: Attempt | None = None, pulls: bool = True
    ) -> None:
        executor = self._executor(definition, step_id, begun=begun, pulls=pulls)
        task = asyncio.create_task(self._work(definition, step_id, executor), name=f"{self._id} {step_id}")
        task.add_done_callback(lambda _: self._moved.set())
        self._tasks[step_id] = task

    async def _work(self, definition: WorkflowDefinition, step_id: str, executor: LLMStepExecutor) -> Execution:
        """Run a step, then the step that its last transition has started, while no other step runs."""
        while True:
            execution = await executor.execute()
            self._see(execution)
            if len(executor.following) != 1 or len(self._tasks) > 1 or self._waiting():
                return execution
            pulled = executor.following.pop()
            del self._executors[step_id]
            self._tasks[pulled.step_id] = self._tasks.pop(step_id)
            step_id = pulled.step_id
            executor = self._executor(definition, step_id, begun=pulled.attempt)

    def _executor(
        self, definition: WorkflowDefinition, step_id: str, *, begun: Attempt | None, pulls: bool = True
    ) -> LLMStepExecutor:
        executor = LLMStepExecutor(
            self._ports,
            definition=definition,
            execution=self._now,
            step_id=step_id,
            documents=self._documents,
            begun=begun,
            room=self._free_slots,
            pulls=pulls,
        )
        self._executors[step_id] = executor
        return executor

    async def _finish(self, step_id: str, task: asyncio.Task[Execution]) -> None:
        executor = self._executors[step_id]
        if task.cancelled():
            await executor.close()
            return  # refresh() cancelled it: the step was ended from outside
        error = task.exception()
        if error is None:
            self._see(task.result())
            self._take_over(self._executors.pop(step_id))
        elif isinstance(error, StaleFencingToken | DatabaseUnavailable):
            raise error
        elif isinstance(error, Conflict | Invalid):
            before = self._now.version
            await self.refresh()  # the step was ended from outside, or another step has changed its inputs
            self._refused[step_id] = self._refused[step_id] + 1 if self._now.version == before else 0
            if self._refused[step_id] > MAX_REJECTED_COMMITS:
                await self._fail(step_id, error)  # the execution did not change, so another model call would not help
            elif not self._fenced and self._definition is not None and self._now.steps[step_id].status in WORKING:
                self._start(self._definition, step_id)  # or with other data: it uses the reply that it has
        elif isinstance(error, Exception):
            await self._fail(step_id, error)
        else:
            raise error

    def _take_over(self, executor: LLMStepExecutor) -> None:
        """Start tasks for the steps that the last transition of a step has started."""
        while executor.following and self._definition is not None:
            pulled = executor.following.pop()
            self._start(self._definition, pulled.step_id, begun=pulled.attempt)

    async def _fail(self, step_id: str, error: Exception) -> None:
        """Fail a step after an unexpected exception, so that the error does not repeat for ever."""
        logger.error("step %s of %s failed", step_id, self._id, exc_info=error)
        message = str(error) if isinstance(error, DomainError) else "Unexpected error; the server log has the details."
        failure = Failure(code=FailureCode.INTERNAL, message=message)

        lost = self._executors[step_id].lost_call
        try:
            await self._commit(
                lambda execution, context: core.fail_unstarted(execution, step_id, failure, context=context),
                calls=() if lost is None else (lost,),
            )
        except Conflict:
            await self.refresh()

    async def _stop_tasks(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        for result in await asyncio.gather(*self._tasks.values(), return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, StaleFencingToken | Conflict):
                logger.warning("a step of %s did not stop cleanly", self._id, exc_info=result)
        for executor in self._executors.values():
            await executor.close()  # of tasks that were cancelled before they could do so
        self._tasks.clear()
        self._executors.clear()

    async def _release(self) -> None:
        """Release the execution if this worker still holds it and it can continue."""
        if self._execution is None or core.is_idle(self._execution):
            return
        try:
            await self._commit(lambda execution, context: claims.release(execution, context=context))
        except (StaleFencingToken, Conflict, DatabaseUnavailable):
            return  # another worker has claimed or ended it, or the recovery duty will find it

    async def _commit(self, decide: Decide, calls: tuple[Call, ...] = ()) -> None:
        self._see(await self._ports.journal.commit(by_runner(self._worker, self._now, decide, calls=calls)))

    @property
    def _now(self) -> Execution:
        if self._execution is None:
            raise RuntimeError("the execution has not been claimed")
        return self._execution

    def _see(self, execution: Execution) -> None:
        """Use the newest version: results of parallel steps may arrive out of order."""
        mine = self._now
        if execution.version > mine.version and execution.fencing_token == mine.fencing_token:
            self._execution = execution  # a version written under another fencing token is ignored
