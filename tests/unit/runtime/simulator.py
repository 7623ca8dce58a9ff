"""Runners in several processes, and all that can happen to them, in an order that a seed determines.

Every call of a port waits at a gate until the simulation opens it: before it takes place, and (where something was
stored) once more before its caller learns of it. Between any two gates a process may die, be told to stop, or meet
another one; a person may answer or cancel. Nothing here sleeps: a seed replays a scenario to the letter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from common.errors import Conflict
from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.budget_usage import usage_of
from executions.engine.domain.calls import VERDICT, Call, ModelReply, ModelRequest, Reading, Usage
from executions.engine.domain.errors import ModelError, RateLimited, StaleFencingToken
from executions.engine.domain.events import ProgressEvent
from executions.engine.domain.execution import Document, Execution, Step
from executions.engine.domain.states import ENDED, CallStatus, ExecutionStatus, FailureCode, StepStatus, WaitingOn
from executions.engine.ports import OnText, Ports, Repositories, Transition
from executions.engine.runtime.runner import ExecutionRunner
from executions.engine.testing.in_memory_models import ScriptedModelClient, UnlimitedPermit
from executions.engine.transitions import backoff, budgets, clarification
from tests.factories.collections import collection, items, over
from tests.factories.engine import ASKING, FORK, LINE, World, definition, document, invalid, question, reply
from tests.factories.reviews import GIVEN_UP, NEEDS_REVISION, SATISFIED
from tests.unit.prompting.test_prompt_replay import shown
from workflows.definitions.budget import Budget
from workflows.definitions.definition import WorkflowDefinition

AT_MOST = Decimal("0.10")  # that a call costs
MOST_DECISIONS = 3  # about one step
TURNS = 60  # of the event loop, enough for every task to reach its next gate
WIDE = definition({"id": "a"}, {"id": "b"}, {"id": "c", "inputs": ["a"]}, {"id": "d", "inputs": ["a", "b", "c"]})
ASKING_BESIDE = definition(
    {"id": "left", "clarification": {"max_rounds": 2}}, {"id": "right"}, {"id": "join", "inputs": ["left", "right"]}
)
EPICS = over("epics", "epic", on_item_failure="skip")
COLLECTION = definition(
    {"id": "epics", "output_schema": collection("epics")},
    {"id": "design", "for_each": EPICS, "clarification": {"max_rounds": 1}},
    {"id": "check", "for_each": EPICS, "inputs": ["design"]},
    max_parallel=2,
)
GATED = definition(
    {"id": "epics", "output_schema": collection("epics"), "acceptance": {}},
    {"id": "design", "for_each": EPICS, "acceptance": {}, "clarification": {"max_rounds": 1}},
    {"id": "other"},
)
EXPIRING = definition(
    {"id": "left", "clarification": {"deadline_seconds": 90, "on_deadline": "defaults"}},
    {"id": "right", "clarification": {"deadline_seconds": 30, "on_deadline": "fail"}},
    {"id": "late", "clarification": {"deadline_seconds": 30, "on_deadline": "wait"}},
    {"id": "join", "inputs": ["left", "right"]},
)
EXPIRING_ITEMS = definition(
    {"id": "epics", "output_schema": collection("epics")},
    {"id": "design", "for_each": EPICS, "clarification": {"deadline_seconds": 30}},
    {"id": "check", "for_each": EPICS, "inputs": ["design"]},
)
REVIEWED = definition(
    {"id": "one", "review": {"rubric": "It is short."}, "on_exhausted": "acceptance", "fallbacks": ["b:second"]},
    {"id": "two", "inputs": ["one"], "review": {"rubric": "It is long."}, "clarification": {"max_rounds": 1}},
    {"id": "three", "fallbacks": ["b:second"]},
)
WORKFLOWS = (LINE, FORK, ASKING, WIDE, ASKING_BESIDE, COLLECTION, GATED, EXPIRING, EXPIRING_ITEMS, REVIEWED)


class Dead(BaseException):
    """What a process meets that was killed: it does nothing any more, not even clean up."""


@dataclass(eq=False)
class Gate:
    """Where a port's call waits."""

    process: Process
    what: str
    opened: asyncio.Future[None]


@dataclass(eq=False)
class Process:
    """A worker process with one runner of the execution."""

    simulation: Simulation
    name: str
    dead: bool = False
    runner: ExecutionRunner = field(init=False)
    job: asyncio.Task[Execution] = field(init=False)
    looks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take the job."""
        world = self.simulation.world
        inner = world.ports
        ports = replace(
            inner,
            repositories=Repositories(
                documents=_Documents(self, inner),
                executions=_Executions(self, inner),
                files=inner.repositories.files,
            ),
            journal=_Journal(self, inner),
            ledger=_Ledger(self, inner),
            models=_Models(self, inner),
        )
        self.runner = ExecutionRunner(ports, execution_id=world.execution_id, worker=self.name)
        self.job = asyncio.ensure_future(self.runner.run())

    async def gate(self, what: str) -> None:
        """Wait until the simulation says so.

        Raises:
            Dead: the process was killed.
        """
        if self.dead:
            raise Dead
        gate = Gate(self, what, asyncio.get_running_loop().create_future())
        self.simulation.gates.append(gate)
        try:
            await gate.opened
        finally:
            if gate in self.simulation.gates:
                self.simulation.gates.remove(gate)

    def kill(self) -> None:
        """End it with no more ado."""
        self.dead = True
        for gate in [gate for gate in self.simulation.gates if gate.process is self]:
            self.simulation.gates.remove(gate)
            gate.opened.set_exception(Dead())

    @property
    def over(self) -> bool:
        """Whether it does nothing any more."""
        return self.dead or self.job.done()


class _Port:
    def __init__(self, process: Process, inner: Ports) -> None:
        self.process = process
        self.inner = inner


class _Executions(_Port):
    async def get(self, execution_id: UUID) -> Execution:
        await self.process.gate("read the execution")
        return await self.inner.repositories.executions.get(execution_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner.repositories.executions, name)


class _Documents(_Port):
    async def get(self, document_id: UUID, version: int | None = None) -> Document:
        await self.process.gate("read a document")
        return await self.inner.repositories.documents.get(document_id, version)

    async def get_by_scope_type(self, scope_id: UUID, document_type: str) -> Document | None:
        await self.process.gate("read a head")
        return await self.inner.repositories.documents.get_by_scope_type(scope_id, document_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner.repositories.documents, name)


class _Journal(_Port):
    async def commit(self, transition: Transition) -> Execution:
        await self.process.gate("commit")
        try:
            return await self.inner.journal.commit(transition)
        finally:
            self.process.simulation.note()
            await self.process.gate("learn of the commit")


class _Ledger(_Port):
    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        await self.process.gate("read the ledger")
        return await self.inner.ledger.calls(execution_id, step_id)

    async def settle(self, call: Call) -> None:
        await self.process.gate("book a call")
        await self.inner.ledger.settle(call)
        self.process.simulation.note()
        await self.process.gate("learn of the booking")


class _Models(_Port):
    def resolve(self, model: str) -> tuple[str, ...]:
        return self.inner.models.resolve(model)

    def knows(self, model: str) -> bool:
        return self.inner.models.knows(model)

    def reading(self, model: str) -> Reading:
        return self.inner.models.reading(model)

    def estimate(self, request: ModelRequest) -> Decimal | None:
        return self.inner.models.estimate(request)

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[UnlimitedPermit]:
        await self.process.gate("have its turn")
        if self.process.simulation.has_to_wait():
            raise RateLimited(request.model, seconds=30.0)
        yield UnlimitedPermit()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        simulation = self.process.simulation
        reply = simulation.buy(request, by=self.process.name)
        await self.process.gate("get the reply")
        if isinstance(reply, Exception):
            raise reply
        simulation.told.append(f"{self.process.name} got {reply.provider_request_id} for {request.step_id}")
        simulation.arrived.append((self.process, reply.provider_request_id))
        return reply


@dataclass(eq=False)
class Simulation:
    """One scenario."""

    seed: int
    world: World = field(init=False)
    gates: list[Gate] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    bought: Counter[tuple[str, str]] = field(default_factory=Counter)  # by step and prompt
    arrived: list[tuple[Process, str]] = field(default_factory=list)  # replies that reached a living process
    told: list[str] = field(default_factory=list)  # what happened, for the report of a failure
    _random: Random = field(init=False)
    _log: list[ProgressEvent] = field(default_factory=list)
    _ended: Execution | None = None
    _cancelled: bool = False
    _retries: int = 0
    _redone: Counter[str] = field(default_factory=Counter)  # ends of steps that were done again
    _replaced: Counter[str | None] = field(default_factory=Counter)  # replaced documents that needed no acceptance
    _faults: list[AssertionError] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Choose the workflow."""
        self._random = Random(self.seed)  # noqa: S311 - it has to be repeatable
        workflow: WorkflowDefinition = self._random.choice(WORKFLOWS)
        self.world = World(workflow)
        assert isinstance(self.world.ports.models, ScriptedModelClient)
        self.world.ports.models.estimated_cost_usd = AT_MOST

    # --- the model ------------------------------------------------------------------------------------------------

    def buy(self, request: ModelRequest, *, by: str) -> ModelReply | ModelError:
        """Write down that the model was asked, and return what it will say."""
        rows = [call for key, call in self.world.ledger.rows.items() if key.step_id == request.step_id]
        same = [call for call in rows if call.request_hash == request.request_hash]
        self._announced(same, by=by)
        self.bought[request.step_id, request.request_hash] += 1
        number = sum(self.bought.values())
        chance = self._random.random()
        if chance < 0.1:
            return self._failure(chance)
        if request.document_type == VERDICT:
            unclear = reply(text=f"Reply {number} says nothing.")
            said = self._random.choice([SATISFIED, SATISFIED, NEEDS_REVISION, GIVEN_UP, unclear])
        elif chance < 0.2:
            said = invalid()
        elif chance < 0.5 and request.max_questions:
            said = question(default=self._random.choice([None, "Eleven"]))
        elif request.step_id == "epics":
            said = items("epics", *self._random.sample("abc", k=self._random.randrange(4)))
        else:
            said = document(f"Reply {number}")
        counted: dict[str, Any] = {"cost_usd": AT_MOST * self._random.randrange(11) / 10}
        if self._random.random() < 0.1:
            counted = {"cost_usd": None, "usage": Usage(), "usage_known": False}
        return said.model_copy(update={"provider_request_id": f"reply-{number}", **counted})

    def _failure(self, chance: float) -> ModelError:
        if chance < 0.02:
            return ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Broke off.", transient=True, cut_off=True)
        if chance < 0.04:
            code = self._random.choice([FailureCode.PROVIDER_REJECTED, FailureCode.CONTEXT_TOO_LONG])
            return ModelError(code, "It cannot be done.")
        wait = self._random.choice([None, 1.0, 60.0])
        return ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Busy.", transient=True, retry_after=wait)

    def has_to_wait(self) -> bool:
        """Whether it is not a call's turn."""
        return self._random.random() < 0.05

    def _announced(self, same: list[Call], *, by: str) -> None:
        waiting = {CallStatus.PENDING, CallStatus.DISCARDED, CallStatus.UNKNOWN}
        if not any(call.status in waiting for call in same):
            self._faults.append(AssertionError("a call was made without a pending ledger record"))
        attempt = max((call.key.attempt for call in same), default=0)
        present = [call for call in same if call.key.attempt == attempt and call.reply is not None]
        # One that was overtaken after it announced its call, and does not know yet, cannot be kept from sending it.
        if any(call.status is CallStatus.COMMITTED for call in present) and self.stored.claimed_by == by:
            self._faults.append(AssertionError("a reply that is in the ledger was bought again"))

    # --- what happens ---------------------------------------------------------------------------------------------

    async def run(self, *, most_happenings: int = 120) -> None:
        """Let things happen, then let everybody finish, and look at what is left."""
        await self.world.start()
        self._limit()
        self.take_job()
        try:
            for _ in range(self._random.randrange(most_happenings)):
                await self._settle_down()
                self.world.journal.clock.advance(0.01)  # no two things happen at once
                await self._random.choices(*zip(*self._possible(), strict=True))[0]()
                self.world.journal.clock.advance(0.01)
                self.check()
            await self._finish()
            self._check_books()
            await self._check_prompts()
        finally:
            for process in self.processes:
                process.kill()
            await self._settle_down()

    def _limit(self) -> None:
        """Give some executions a budget."""
        calls = self._random.randrange(6)
        most = {"max_calls": calls, "max_tokens": calls * 10_000, "max_cost_usd": calls * AT_MOST}
        limit = self._random.choice([None, None, None, *most])
        rows = self.world.journal.executions.rows
        budget = None if limit is None else Budget.model_validate({limit: most[limit]})
        rows[self.world.execution_id] = replace(self.stored, budget=budget)

    def _possible(self) -> list[tuple[Callable[[], Awaitable[None]], float]]:
        alive = [process for process in self.processes if not process.over]
        possible: list[tuple[Callable[[], Awaitable[None]], float]] = [(self._duplicate_job, 0.2)]
        if self.gates:
            possible.append((self._open_a_gate, 12.0))
        if alive:
            possible += [(self._kill, 0.6), (self._stop, 0.3), (self._look, 1.0)]
        else:
            possible.append((self._recover, 2.0))
        return possible + self._what_people_do()

    def _what_people_do(self) -> list[tuple[Callable[[], Awaitable[None]], float]]:
        stored = self.stored
        possible: list[tuple[Callable[[], Awaitable[None]], float]] = []
        if self._asking():
            possible.append((self._answer, 2.0))
        if self._handed_in():
            possible.append((self._review, 2.0))
        if self._is_short:
            possible.append((self._raise, 1.0))
        if stored.resume_at is not None or stored.deadline_at is not None:
            possible.append((self._let_time_pass, 2.0))
        if not stored.ended:
            possible.append((self._cancel, 0.06))
        if stored.status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
            possible.append((self._retry, 2.0))
        return possible

    async def _settle_down(self) -> None:
        loop: Any = asyncio.get_running_loop()
        for _ in range(TURNS):
            await asyncio.sleep(0)
            if not loop._ready:
                return  # the remaining tasks wait at a gate

    async def _open_a_gate(self) -> None:
        self._open(self._random.choice(self.gates))

    def _open(self, gate: Gate) -> None:
        self.told.append(f"{gate.process.name} may {gate.what}")
        self.gates.remove(gate)
        gate.opened.set_result(None)

    def take_job(self) -> None:
        """Let a new process take a job."""
        process = Process(self, f"worker-{len(self.processes) + 1}")
        self.processes.append(process)
        self.told.append(f"{process.name} takes the job")

    async def _duplicate_job(self) -> None:
        self.take_job()

    async def _recover(self) -> None:
        self.take_job()

    async def _kill(self) -> None:
        process = self._random.choice([each for each in self.processes if not each.over])
        self.told.append(f"{process.name} is killed")
        process.kill()

    async def _stop(self) -> None:
        process = self._random.choice([each for each in self.processes if not each.over])
        self.told.append(f"{process.name} is told to stop")
        process.job.cancel()

    async def _look(self) -> None:
        process = self._random.choice([each for each in self.processes if not each.over])
        self.told.append(f"{process.name} looks again")
        process.looks.append(asyncio.ensure_future(process.runner.refresh()))

    async def _answer(self) -> None:
        step = self._random.choice(self._asking())
        assert step.open_round is not None
        self.told.append(f"a person answers {step.step_id}")
        answers = {each.id: self._random.choice(["Twelve", "Thirteen"]) for each in step.open_round.questions}
        await self.world.answer(step.step_id, answers)

    async def _review(self) -> None:
        step = self._random.choice(self._handed_in())
        verdicts = [
            AcceptanceAction.ACCEPT,
            AcceptanceAction.ACCEPT,
            AcceptanceAction.REQUEST_CHANGES,
            AcceptanceAction.REJECT,
        ]
        verdict = self._random.choice(verdicts) if len(step.decisions) < MOST_DECISIONS else AcceptanceAction.ACCEPT
        self.told.append(f"a person decides about {step.step_id}: {verdict.value}")
        assert step.document_version is not None
        comment = f"Remark {len(step.decisions) + 1}."
        await self.world.review(verdict, version=step.document_version, comment=comment, step_id=step.step_id)

    def _asking(self) -> list[Step]:
        return [step for step in self.stored.steps.values() if step.waits_for is WaitingOn.CLARIFICATION]

    def _handed_in(self) -> list[Step]:
        return [step for step in self.stored.steps.values() if step.waits_for is WaitingOn.ACCEPTANCE]

    @property
    def _is_short(self) -> bool:
        return not self.stored.ended and any(step.blocked_by_limit for step in self.stored.steps.values())

    async def _raise(self) -> None:
        budget = self.stored.budget
        assert budget is not None
        raised = {name: value * 2 + 1 for name, value in budget.model_dump(exclude_none=True).items()}
        self.told.append(f"a person raises the budget to {raised}")
        await self.world.decide(
            lambda execution, context: budgets.change_budget(
                execution, Budget.model_validate(raised), changed_by="ann", context=context
            )
        )

    async def _let_time_pass(self) -> None:
        self.told.append("a minute passes; workers resume deferred steps and apply deadlines")
        self.world.journal.clock.advance(61.0)
        now = self.world.journal.clock.now()
        if self.stored.resume_at is not None and self.stored.resume_at <= now:
            await self.world.decide(lambda execution, context: backoff.resume_deferred(execution, context=context))
        if self.stored.deadline_at is not None and self.stored.deadline_at <= now:
            await self.world.decide(lambda execution, context: clarification.expire(execution, context=context))

    async def _cancel(self) -> None:
        self.told.append("a person cancels")
        self._cancelled = True
        await self.world.cancel()

    async def _retry(self) -> None:
        again = self._random.choice([None, *self.stored.steps])
        self.told.append(f"a person retries from {again}")
        self._ended, self._cancelled, self._retries = None, False, self._retries + 1
        before = self.stored
        await self.world.retry(again)
        needed = self._handed_over()
        for step in before.steps.values():
            if step.status is StepStatus.COMPLETED and self.stored.steps[step.step_id].status is not step.status:
                self._redone[step.step_id] += 1
                self._replaced[step.step_id] += (step.step_id, step.document_version) not in needed

    async def _finish(self) -> None:
        """No more faults: recovery runs, people answer, and workers run executions that have no worker."""
        for _ in range(400):
            await self._settle_down()
            self.check()
            if self.gates:
                self._open(self.gates[0])
            elif all(process.over for process in self.processes):
                if self.stored.ended:
                    break
                await self._wake_up()
                self.take_job()
            else:
                await self._wake_up()
                await self._look()
        await self._settle_down()
        assert self.stored.ended, "it never ended"
        assert all(process.over for process in self.processes), "a runner did not notice the end"
        for process in self.processes:
            await self._bury(process)

    async def _wake_up(self) -> None:
        self.world.journal.clock.advance(0.01)  # no two things happen at once
        if self._is_short:
            await self._raise()
        if self._asking():
            await self._answer()
        if self._handed_in():
            await self._review()
        if self.stored.resume_at is not None or self.stored.deadline_at is not None:
            await self._let_time_pass()
        self.world.journal.clock.advance(0.01)

    async def _bury(self, process: Process) -> None:
        for task in (process.job, *process.looks):
            task.cancel()
        outcomes = await asyncio.gather(process.job, *process.looks, return_exceptions=True)
        if not process.dead:
            unexpected = [each for each in outcomes if isinstance(each, Exception)]
            assert not [each for each in unexpected if not isinstance(each, Conflict | StaleFencingToken)], unexpected

    # --- what must hold -------------------------------------------------------------------------------------------

    @property
    def stored(self) -> Execution:
        """The execution as it is stored."""
        return self.world.ports.repositories.executions.rows[self.world.execution_id]  # type: ignore[attr-defined]

    def note(self) -> None:
        """Look at what was just stored; what is wrong is told by the next `check`, out of reach of the runners."""
        try:
            self._look_at_what_is_stored()
        except AssertionError as error:
            self._faults.append(error)

    def check(self) -> None:
        """What must hold at any moment."""
        self._look_at_what_is_stored()
        for fault in self._faults:
            raise fault

    def _look_at_what_is_stored(self) -> None:
        stored, log = self.stored, self.world.journal.log[self.world.execution_id]
        assert [event.sequence for event in log] == list(range(1, stored.last_sequence + 1)), "the log has a gap"
        assert log[: len(self._log)] == self._log, "the past has changed"
        self._log = list(log)
        if self._ended is not None:
            assert stored == self._ended, "something moved after the end"
        if stored.status in ENDED:
            self._ended = stored
        if stored.claimed_by is not None:
            assert stored.status is ExecutionStatus.RUNNING
        if stored.status is ExecutionStatus.WAITING:
            assert stored.waiting_on
        done = [step.step_id for step in stored.steps.values() if step.status is StepStatus.COMPLETED]
        completed = [event.step_id for event in log if event.event_type == "step_completed"]
        ends = Counter(done) + self._redone
        assert ends == Counter(map(str, completed)), "a step was completed twice, or in silence"
        self._look_at_the_budget(stored)
        self._look_at_questions(stored, log)
        told = self._handed_over()
        handed_in = [step_id for step_id, _ in told]
        at_once = [each for each in done if (each, stored.steps[each].document_version) not in told]
        stored_by = Counter([*handed_in, *at_once]) + self._replaced
        for made in self.world.documents.versions.values():
            assert [each.version for each in made] == list(range(1, stored_by[made[0].step_id] + 1)), "a document twice"
        assert len(self.world.documents.versions) == len(stored_by), "a document without a step"

    def _handed_over(self) -> set[tuple[str | None, Any]]:
        """Return the documents, by step and version, that waited for a person; a retry tells of one again."""
        log = self.world.journal.log[self.world.execution_id]
        needed = [event for event in log if event.event_type == "acceptance_needed"]
        return {(event.step_id, event.data["document_version"]) for event in needed}

    def _look_at_the_budget(self, stored: Execution) -> None:
        """No more was spent, or is reserved, than was given."""
        if stored.budget is not None:
            spent, budget = usage_of(self.world.ledger.rows.values()), stored.budget
            assert budget.max_cost_usd is None or spent.cost_usd <= budget.max_cost_usd, "more was spent than was given"
            assert budget.max_tokens is None or spent.tokens <= budget.max_tokens, "more tokens than were given"
            assert budget.max_calls is None or spent.calls <= budget.max_calls, "more calls than were given"

    def _look_at_questions(self, stored: Execution, log: list[ProgressEvent]) -> None:
        """Each round was closed once, and what expires next is known."""
        closed = Counter(
            step.step_id for step in stored.steps.values() for each in step.rounds if each.answers is not None
        )
        told = Counter(event.step_id for event in log if event.event_type == "clarification_answered")
        assert closed == told, "questions were closed twice, or in silence"
        moments = [step.open_round.due_at for step in self._asking() if step.open_round is not None]
        assert stored.deadline_at == min((each for each in moments if each is not None), default=None)
        deferred = [step.resume_at for step in stored.steps.values() if step.waits_for is WaitingOn.RATE_LIMIT]
        assert stored.resume_at == min((each for each in deferred if each is not None), default=None)

    async def _check_prompts(self) -> None:
        """What was asked in each call can be shown, and is what was asked."""
        for step_id in self.stored.steps:
            for sent in await shown(self.world, step_id):
                assert sent.is_exact, f"what {sent.call.key} was asked is not known any more"

    def _check_books(self) -> None:
        """What must hold when all is over."""
        stored, rows = self.stored, list(self.world.ledger.rows.values())
        kept = {call.reply.provider_request_id for call in rows if call.reply is not None}
        for process, reply_id in self.arrived:
            assert process.dead or reply_id in kept, f"{reply_id} was paid for and lost"
        assert not [call for call in rows if call.status is CallStatus.PENDING], "a call is under way for ever"
        sent = sum(self.bought.values())
        unsent = [call for call in rows if call.status is CallStatus.FAILED and "not sent" in call.error]
        assert sent <= len(rows) - len(unsent) or any(process.dead for process in self.processes)
        if not self._cancelled:
            assert stored.status in {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED}
        decided = Counter(event.step_id for event in self._log if event.event_type == "acceptance_decided")
        for step in stored.steps.values():
            versions = [decision.document_version for decision in step.decisions]
            assert decided[step.step_id] == len(versions), "a decision was lost, or made twice"
            assert versions == sorted(set(versions)), "a version was decided about twice"
        complete = [event for event in self._log if event.event_type == "complete"]
        assert len(complete) == 1 + self._retries
        if not any(process.dead for process in self.processes) and len(self.processes) == 1 and not self._cancelled:
            assert len(kept) == len(self.arrived)
