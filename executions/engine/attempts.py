"""The prompts of one step, each with the ledger row of its call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from executions.engine.budgets import seconds_for_a_call
from executions.engine.calls import Call, CallKey, Material, ModelRequest, most_tokens
from executions.engine.execution import Document, Execution, keys_of
from executions.engine.iteration import item_material
from executions.engine.papers import Papers
from executions.engine.planner import instance_id
from executions.engine.ports import Ports
from executions.engine.prompts import Given, Rejected, build_request
from executions.engine.results import rejected_output
from executions.engine.states import CallKind, CallStatus
from workflows.definition import StepDefinition, WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One prompt and the call that is made for it."""

    request: ModelRequest
    call: Call
    inputs: tuple[Document, ...]
    failed_tries: int = 0  # calls that were made for it before, and failed


class Attempts:
    """Makes the attempts of one step."""

    def __init__(self, ports: Ports, *, definition: WorkflowDefinition, step_id: str, papers: Papers) -> None:
        self._ports = ports
        self._definition = definition
        self._papers = papers
        self.step_id = step_id
        self.step: StepDefinition = definition.step(step_id)
        self.reads = definition.reads(self.step)  # types of the documents that it is given
        self.model = ports.models.resolve(self.step.model)

    async def inputs(self, execution: Execution, *, made: Document | None = None) -> list[Document | None]:
        """Return each document that the step reads, None for one that is not there.

        `made` is about to be stored; it stands for the document of its type.
        """
        return [
            made if made is not None and kind == made.type else await self._papers.newest(execution, *self._maker(kind))
            for kind in self.reads
        ]

    def _maker(self, kind: str) -> tuple[str, str]:
        """Return a type with the step that makes it for this step: the same item's, or one around it."""
        producer = self._definition.producers.get(kind)
        if producer is None:
            return kind, ""
        depth = len(self._definition.chains[producer.id])
        return kind, instance_id(producer.id, keys_of(self.step_id)[:depth])

    def _items(self, inputs: Sequence[Document]) -> list[Material]:
        """Return the items that the step is about, outermost first; one that has gone is left out."""
        documents = {each.type: each for each in inputs}
        found = (
            item_material(over, documents[over.document].content, key)
            for over, key in zip(self._definition.loops[self.step.id], keys_of(self.step_id), strict=True)
        )
        return [item for item in found if item is not None]

    def first(self, execution: Execution, inputs: tuple[Document, ...]) -> Attempt | None:
        """Return the attempt that starts the step, or takes it up again after answers.

        None: the item that the step is about is not in its collection, in these versions of the documents.
        """
        number = execution.steps[self.step_id].attempt + 1
        items = self._items(inputs)
        if len(items) < len(keys_of(self.step_id)):
            return None
        return self._build(execution, inputs, items, number=number, kind=CallKind.GENERATE)

    def remediation(self, execution: Execution, inputs: tuple[Document, ...], rejected: Rejected) -> Attempt:
        """Return the attempt that mends rejected output."""
        number = execution.steps[self.step_id].attempt + 1
        items = self._items(inputs)
        return self._build(execution, inputs, items, number=number, kind=CallKind.REMEDIATE, rejected=rejected)

    async def present(self, execution: Execution, known: Sequence[Call]) -> Attempt:
        """Return the present attempt again, with the next try of its call; `known` are the step's calls so far."""
        step = execution.steps[self.step_id]
        inputs = tuple([await self._papers.pinned(pin) for pin in step.pins])
        rejected = rejected_output(step, known)
        kind = CallKind.REMEDIATE if rejected else CallKind.GENERATE
        tries = [call.key.ordinal for call in known if call.key.attempt == step.attempt]
        ordinal = 1 + max(tries, default=0)
        items = self._items(inputs)
        return self._build(execution, inputs, items, number=step.attempt, kind=kind, ordinal=ordinal, rejected=rejected)

    def _build(
        self,
        execution: Execution,
        inputs: tuple[Document, ...],
        items: Sequence[Material],
        *,
        number: int,
        kind: CallKind,
        ordinal: int = 1,
        rejected: Rejected | None = None,
    ) -> Attempt:
        request = build_request(
            step_id=self.step_id,
            step=self.step,
            role=self._definition.roles[self.step.role],
            model=self.model,
            given=Given(
                brief=execution.input,
                documents=[each for each in inputs if each.type in self.step.inputs],
                items=items,
                rounds=execution.steps[self.step_id].rounds,
                decisions=execution.steps[self.step_id].decisions,
            ),
            rejected=rejected,
        )
        now = self._ports.clock.now()
        request = replace(request, timeout_seconds=seconds_for_a_call(execution, request.timeout_seconds, now))
        key = CallKey(execution_id=execution.id, step_id=self.step_id, attempt=number, kind=kind, ordinal=ordinal)
        call = Call(
            key=key,
            model=self.model,
            request_hash=request.request_hash,
            status=CallStatus.PENDING,
            started_at=now,
            estimated_cost_usd=self._ports.models.estimate(request),
            reserved_tokens=most_tokens(request),
        )
        return Attempt(request=request, call=call, inputs=inputs)
