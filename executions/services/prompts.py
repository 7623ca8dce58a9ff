"""Prompts of earlier calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from access.selectors import Person
from common.errors import FieldError, NotFound
from executions.composition import build_ports
from executions.db_threads import in_thread
from executions.engine.domain.calls import Call
from executions.engine.domain.errors import unknown_step_message
from executions.engine.domain.events import EventType, ProgressEvent
from executions.engine.domain.execution import Pin, Step
from executions.engine.runtime.attempts import Attempts
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.prompt_replay import AttemptStart, ReplayedPrompt, replay_prompt
from executions.selectors import executions


async def get_prompt(
    *, user: Person, execution_id: UUID, step_id: str, attempt: int | None, kind: str | None, ordinal: int | None
) -> ReplayedPrompt:
    """Return the prompt of the step's newest call, or of the newest call with this attempt, kind and ordinal.

    Raises:
        NotFound: there is no such execution, step or call, or none that the user may see.
    """
    events = await in_thread(lambda: list(_beginnings(user, execution_id, step_id)))
    port = build_ports()
    execution = await port.repositories.executions.get(execution_id)
    if step_id not in execution.steps:
        raise NotFound(unknown_step_message(step_id, execution.steps))
    known = await port.ledger.calls(execution_id, step_id)
    call = _newest(known, attempt=attempt, kind=kind, ordinal=ordinal)
    definition = await port.definitions.get(execution.workflow_id, execution.workflow_version)
    definition = definition if execution.script is None else definition.rehearsed
    attempts = Attempts(port, definition=definition, step_id=step_id, documents=DocumentCache(port.repositories))
    began = _began(events, execution.steps[step_id], call.key.attempt)
    return await replay_prompt(call, execution=execution, attempts=attempts, known=known, began=began)


def _newest(known: Sequence[Call], *, attempt: int | None, kind: str | None, ordinal: int | None) -> Call:
    for call in reversed(known):
        key = call.key
        if attempt in {None, key.attempt} and kind in {None, key.kind.value} and ordinal in {None, key.ordinal}:
            return call
    raise NotFound("The step has not made such a call.")


def _beginnings(user: Person, execution_id: UUID, step_id: str) -> Iterator[ProgressEvent]:
    """Yield the start events of the step's attempts, oldest first."""
    types = [EventType.STEP_STARTED.value, EventType.REMEDIATION_STARTED.value]
    rows = executions.events(user=user, execution_id=execution_id, types=types).filter(step_id=step_id)
    yield from map(executions.progress_event, rows)


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
            violations = tuple(FieldError.model_validate(each) for each in data["violations"])
    return AttemptStart(input_versions=input_versions, violations=violations)
