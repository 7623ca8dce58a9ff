"""Earlier calls: their prompts, rebuilt from stored data, and what was found wrong in their replies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from access.selectors import Person
from common.errors import Erased, FieldError, NotFound
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import Call, CallKey, ModelReply
from executions.engine.domain.errors import unknown_step_message
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.execution import Execution, Pin, Step
from executions.engine.runtime.attempts import Attempts
from executions.engine.runtime.call_outcome import CallOutcome, outcome_of
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.prompt_replay import AttemptStart, ReplayedPrompt, replay_prompt
from executions.selectors import calls, executions

_BEGINNINGS = (EventType.STEP_STARTED.value, EventType.REMEDIATION_STARTED.value)  # of attempts
#: Time after which no further prompt of a page is rebuilt.
MAX_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCall:
    """A call, its prompt, and what became of its reply."""

    row: Any
    prompt: ReplayedPrompt | None = None  # None: it was erased, or what it was made from
    reply: ModelReply | None = None  # None: there is none, or it was erased
    outcome: CallOutcome | None = None  # None: there is no reply, or no prompt


async def get_prompt(
    *, user: Person, execution_id: UUID, step_id: str, attempt: int | None, kind: str | None, ordinal: int | None
) -> ReplayedPrompt:
    """Return the prompt of the step's newest call, or of the newest call with this attempt, kind and ordinal.

    Raises:
        NotFound: there is no such execution, step or call, or none that the user may see.
        Erased: the contents of the execution were erased, or those of a document that the prompt showed.
    """
    replay = await _Replay.of(user, execution_id)
    if replay.is_erased:
        raise Erased
    step = await replay.step(step_id)
    call = _newest(step.known, attempt=attempt, kind=kind, ordinal=ordinal)
    if await in_thread(calls.is_erased, call.key):
        raise Erased
    return await step.prompt(call)


async def get_call(*, user: Person, execution_id: UUID, call_id: UUID) -> ShownCall:
    """Return a call with its prompt, its reply, and what was found wrong in it.

    Raises:
        NotFound: there is no such execution or call, or none that the user may see.
    """
    row = await in_thread(lambda: calls.call(user=user, execution_id=execution_id, call_id=call_id))
    [shown] = await get_calls(user=user, execution_id=execution_id, rows=[row])
    return shown


async def get_calls(*, user: Person, execution_id: UUID, rows: Sequence[Any]) -> list[ShownCall]:
    """Return calls of one step with their prompts, replies, and what was found wrong in them; all is read once.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    replay = await _Replay.of(user, execution_id)
    if replay.is_erased or not rows:
        return [ShownCall(row=row) for row in rows]
    step = await replay.step(rows[0].step_id)
    return [await step.shown(row) for row in rows]


async def proven_prompts(*, user: Person, execution_id: UUID, keys: Sequence[CallKey]) -> dict[CallKey, bool]:
    """Return for each call whether its rebuilt prompt has the hash of the sent one.

    After `MAX_SECONDS` no further prompt is rebuilt: the other calls are left out, and so are erased ones.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
    """
    deadline, found = monotonic() + MAX_SECONDS, dict[CallKey, bool]()
    if not keys:
        return found
    replay, wanted = await _Replay.of(user, execution_id), set(keys)
    if replay.is_erased:
        return found
    for step_id in dict.fromkeys(each.step_id for each in keys):
        if monotonic() > deadline:
            break
        step = await replay.step(step_id)
        for call in step.known:
            if call.key in wanted and monotonic() <= deadline:
                with suppress(Erased):  # a document that it showed
                    found[call.key] = (await step.prompt(call)).is_exact
    return found


class _Replay:
    """Rebuilds prompts of an execution."""

    def __init__(self, execution: Execution, definition: Any) -> None:
        self._execution = execution
        self._definition = definition
        self._documents = DocumentCache(build_ports().repositories)

    @classmethod
    async def of(cls, user: Person, execution_id: UUID) -> _Replay:
        """Read an execution.

        Raises:
            NotFound: there is no such execution, or none that the user may see.
        """
        await in_thread(lambda: executions.execution(user=user, execution_id=execution_id))
        port = build_ports()
        execution = await port.repositories.executions.get(execution_id)
        definition = await port.definitions.get(execution.workflow_id, execution.workflow_version)
        return cls(execution, definition if execution.script is None else definition.rehearsed)

    @property
    def is_erased(self) -> bool:
        """Whether the contents of the execution were erased."""
        return self._execution.erased_at is not None

    async def step(self, step_id: str) -> _StepReplay:
        """Read the calls of a step.

        Raises:
            NotFound: the execution has no such step.
        """
        execution, port = self._execution, build_ports()
        if step_id not in execution.steps:
            raise NotFound(unknown_step_message(step_id, execution.steps))
        events = await in_thread(executions.events_of_step, execution.id, step_id, types=_BEGINNINGS)
        known = await port.ledger.calls(execution.id, step_id)
        attempts = Attempts(port, definition=self._definition, step_id=step_id, documents=self._documents)
        return _StepReplay(execution=execution, attempts=attempts, known=known, events=events)


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepReplay:
    """The calls of a step, with all that their prompts are rebuilt from."""

    execution: Execution
    attempts: Attempts
    known: Sequence[Call]
    events: Sequence[ProgressEvent]

    @property
    def _step(self) -> Step:
        return self.execution.steps[self.attempts.step_id]

    async def prompt(self, call: Call) -> ReplayedPrompt:
        """Rebuild the prompt of one of the calls."""
        began = _began(self.events, self._step, call.key.attempt)
        return await replay_prompt(
            call, execution=self.execution, attempts=self.attempts, known=self.known, began=began
        )

    async def shown(self, row: Any) -> ShownCall:
        """Return one of the calls, as far as it was not erased."""
        if row.erased_at is not None:
            return ShownCall(row=row)
        call = _newest(self.known, attempt=row.attempt, kind=row.kind, ordinal=row.ordinal)
        try:
            prompt = await self.prompt(call)
        except Erased:
            return ShownCall(row=row, reply=call.reply)
        return ShownCall(row=row, prompt=prompt, reply=call.reply, outcome=self.outcome(prompt))

    def outcome(self, prompt: ReplayedPrompt) -> CallOutcome | None:
        """Return what became of the reply of a call; None without a reply."""
        call = prompt.call
        if call.reply is None:
            return None
        recorded = _ended(self.events, self._step, call.key.attempt)
        return outcome_of(call, call.reply, request=prompt.request, known=self.known, recorded=recorded)


def _newest(known: Sequence[Call], *, attempt: int | None, kind: str | None, ordinal: int | None) -> Call:
    for call in reversed(known):
        key = call.key
        if attempt in {None, key.attempt} and kind in {None, key.kind.value} and ordinal in {None, key.ordinal}:
            return call
    raise NotFound("The step has not made such a call.")


def _began(events: Sequence[ProgressEvent], step: Step, attempt: int) -> AttemptStart:
    """Return the start of an attempt. If its event has been pruned, the step's current values are used."""
    input_versions, violations = step.input_versions, step.violations if step.attempt == attempt else ()
    for event in events:
        data: Mapping[str, Any] = event.data
        if data["attempt"] > attempt:
            break
        if event.event_type == EventType.STEP_STARTED:
            input_versions, violations = tuple(Pin.model_validate(each) for each in data["inputs"]), ()
        elif data["attempt"] == attempt:
            violations = _violations(data["violations"])
    return AttemptStart(input_versions=input_versions, violations=violations)


def _ended(events: Iterable[ProgressEvent], step: Step, attempt: int) -> tuple[FieldError, ...]:
    """Return the violations with which an attempt ended: the next one begins with them, or the step failed."""
    for event in events:
        data: Mapping[str, Any] = event.data
        if event.event_type == EventType.REMEDIATION_STARTED and data["attempt"] == attempt + 1:
            return _violations(data["violations"])
    return step.violations if step.attempt == attempt and step.failure is not None else ()


def _violations(told: Iterable[Any]) -> tuple[FieldError, ...]:
    return tuple(FieldError.model_validate(each) for each in told)
