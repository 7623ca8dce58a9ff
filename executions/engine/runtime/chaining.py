"""Chaining: a step starts in the transition that stores the last document it waited for. One commit per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import StepStatus
from executions.engine.ports import Ports
from executions.engine.runtime.attempts import Attempt, Attempts
from executions.engine.runtime.document_cache import DocumentCache, pin_of
from executions.engine.transitions import budgets, core
from executions.engine.transitions.planner import is_ready, ready_steps
from workflows.definitions.definition import WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedStep:
    """A step that is prepared to start."""

    step_id: str
    attempt: Attempt

    def start(
        self, execution: Execution, context: core.Context, *, other_calls: Sequence[Call] = ()
    ) -> core.Change | None:
        """Start the step with the document of `context`; None: it cannot start.

        `other_calls` are calls that the same transition records already.
        """
        stored = context.document
        call = self.attempt.call
        if stored is None or not is_ready(execution, self.step_id) or context.bought(call.key) is not None:
            return None
        pins = tuple(
            pin_of(stored if document.type == stored.type else document) for document in self.attempt.plan.inputs
        )
        started = core.start_step(execution, self.step_id, model=call.model, pins=pins, context=context)
        started = replace(started, calls=(call,))
        return budgets.hold_if_over_budget(started, self.step_id, call, context=context, other_calls=other_calls)

    def has_started(self, execution: Execution) -> bool:
        """Return whether the transition that led to `execution` has started this step."""
        step = execution.steps.get(self.step_id)  # None: the step's item was not stored
        return step is not None and step.status is StepStatus.RUNNING and step.attempt == self.attempt.call.key.attempt


async def prepare_dependents(
    ports: Ports,
    *,
    definition: WorkflowDefinition,
    execution: Execution,
    documents: DocumentCache,
    document: Document,
    limit: int,
) -> list[PreparedStep]:
    """Prepare the steps that wait only for this document, at most `limit`.

    A step without one of its inputs, or without its item, is not prepared.
    """
    prepared: list[PreparedStep] = []
    for step in ready_steps(execution, assume_completed=document.step_id):
        if document.step_id in step.depends_on and len(prepared) < limit:
            attempts = Attempts(ports, definition=definition, step_id=step.step_id, documents=documents)
            inputs_or_none = await attempts.inputs(execution, new_document=document)
            inputs = tuple(each for each in inputs_or_none if each is not None)
            attempt = attempts.first(execution, inputs) if len(inputs) == len(inputs_or_none) else None
            if attempt is not None:
                prepared.append(PreparedStep(step_id=step.step_id, attempt=attempt))
    return prepared


def start_all(change: core.Change, prepared: list[PreparedStep], context: core.Context) -> core.Change:
    """Return the change with the prepared steps started, as far as they can start."""
    for step in prepared:
        started = step.start(change.execution, context, other_calls=change.calls)
        if started is not None:
            events, calls = (*change.events, *started.events), (*change.calls, *started.calls)
            change = replace(started, events=events, calls=calls, held=False)
    return change
