"""Which documents an execution that reuses documents would complete its steps with, found out without starting it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from executions.engine.domain.brief import BriefFile
from executions.engine.domain.execution import Document, Execution, transition
from executions.engine.domain.states import ExecutionStatus, StepStatus
from executions.engine.ports import Ports
from executions.engine.prompting.json_text import shown
from executions.engine.runtime.attempts import Attempts
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.reuse import complete_with, current_document
from executions.engine.transitions.core import Context
from executions.engine.transitions.for_each import Collections
from executions.engine.transitions.planner import ready_steps
from workflows.definitions.definition import WorkflowDefinition

MAX_SOUGHT = 2_000  # steps; all others count as steps that run
AT_ONCE = 16  # steps whose documents are looked for at the same time


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusePlan:
    """What is reused and what runs, by the ids of the definition's steps."""

    reused: Mapping[str, int] = field(default_factory=dict)  # documents
    runs: Mapping[str, int] = field(default_factory=dict)  # step instances; without steps over unknown collections
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes of the reused documents of steps that run once
    documents: Mapping[UUID, int] = field(default_factory=dict)  # versions of the reused documents, by document


async def plan_reuse(
    execution: Execution, ports: Ports, *, definition: WorkflowDefinition, files: Sequence[BriefFile] = ()
) -> ReusePlan:
    """Return what a new execution would reuse. A step counts as one that runs if a step before it runs.

    In the execution itself such a step is reused after all, if the step before it makes the same content again.
    `files` are those of the brief: the scope does not use new ones yet.
    """
    running = transition(execution, ExecutionStatus.RUNNING, now=ports.clock.now())
    search = _Search(running, ports, definition)
    search.cache.know(files)
    sought: set[str] = set()
    while ready := [each.step_id for each in ready_steps(search.execution) if each.step_id not in sought]:
        chunk = ready[: min(AT_ONCE, MAX_SOUGHT - len(sought))]
        if not chunk:
            break
        sought |= {*chunk}
        for found in await asyncio.gather(*map(search.look_for, chunk)):
            if found is not None:
                search.complete_with(found)
    return search.summary()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reused:
    """A current document, and what its step reads."""

    step_id: str
    document: Document
    inputs: tuple[Document, ...]


class _Search:
    """The execution as it would be, with the documents that were found."""

    def __init__(self, execution: Execution, ports: Ports, definition: WorkflowDefinition) -> None:
        self.execution = execution
        self._ports = ports
        self._definition = definition
        self.cache = DocumentCache(ports.repositories)
        self._found: dict[str, Document] = {}

    async def look_for(self, step_id: str) -> _Reused | None:
        """Return the current document of a ready step, None if there is none."""
        attempts = Attempts(self._ports, definition=self._definition, step_id=step_id, documents=self.cache)
        sources = await attempts.inputs(self.execution)
        inputs = tuple(each for each in sources if each is not None)
        if len(inputs) < len(sources):
            return None
        collections = Collections(self._definition, step_id)
        found = await current_document(
            self.execution, self._ports, attempts=attempts, inputs=inputs, collections=collections
        )
        return None if found is None else _Reused(step_id=step_id, document=found, inputs=inputs)

    def complete_with(self, found: _Reused) -> None:
        """Complete a step with the document that was found for it."""
        self.execution = complete_with(
            found.document,
            self.execution,
            found.step_id,
            inputs=found.inputs,
            collections=Collections(self._definition, found.step_id),
            context=Context(now=self._ports.clock.now()),
        ).execution
        self.cache.keep(self.execution, found.step_id, found.document)
        self._found[found.step_id] = found.document

    def summary(self) -> ReusePlan:
        """Return what was found, by the steps of the definition."""
        steps, producers = self.execution.steps, self._definition.producers
        left = Counter(step.slug for step in steps.values() if step.status is not StepStatus.COMPLETED)
        known = (
            each.id
            for each in self._definition.steps
            if not any(left[producers[over.document].id] for over in self._definition.loops[each.id])
        )
        once = [document for step_id, document in self._found.items() if not steps[step_id].keys]
        return ReusePlan(
            reused=Counter(steps[step_id].slug for step_id in self._found),
            runs={step_id: left[step_id] for step_id in known},
            sizes={each.type: len(shown(each.content).encode()) for each in once},
            documents={each.id: each.version for each in self._found.values()},
        )
