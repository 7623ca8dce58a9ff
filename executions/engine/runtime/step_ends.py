"""The end of a step: its document and what can start with it, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import FieldError
from executions.engine.domain.execution import Document, Execution, Failure
from executions.engine.domain.states import FailureCode
from executions.engine.ports import Ports
from executions.engine.prompting.documents import new_document
from executions.engine.runtime.attempts import Attempt
from executions.engine.runtime.chaining import PreparedStep, prepare_dependents, start_all
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.step_calls import StepCalls
from executions.engine.transitions import acceptance, core
from executions.engine.transitions.for_each import Collections
from executions.engine.transitions.reviews import Candidate, Judgement, last_reviewed, with_review_event
from workflows.definitions.definition import OnExhausted, WorkflowDefinition


class StepEnds(StepCalls):
    """The last transition of a step, stored together with the call that led to it."""

    def __init__(
        self,
        ports: Ports,
        *,
        definition: WorkflowDefinition,
        execution: Execution,
        step_id: str,
        documents: DocumentCache,
        begun: Attempt | None,
        room: Callable[[], int],
        pulls: bool,
    ) -> None:
        open_call = begun.call if begun else None
        super().__init__(
            ports, definition=definition, execution=execution, step_id=step_id, documents=documents, open_call=open_call
        )
        self._collections = Collections(definition, step_id)
        self._begun = begun
        self._room = room
        self._pulls = pulls

    def _document(self, candidate: Candidate, judged: Judgement | None = None) -> Document:
        return new_document(
            candidate.content,
            execution=self._execution,
            definition=self._attempts.step,
            call=candidate.call,
            review=None if judged is None else judged.provenance,
            condensed=candidate.condensed,
            now=self._ports.clock.now(),
        )

    async def _complete_with(self, settled: Call, document: Document, judged: Judgement | None = None) -> None:
        """Store the document; what can start then, and there is room for, starts in the same transition."""
        if self._attempts.step.acceptance is not None:
            await self._hand_in(settled, document, judged)
            return
        pulled = await self._pull(document) if self._pulls else []

        def complete(execution: Execution, context: core.Context) -> core.Change:
            grown = self._grown(execution, document, context.now)
            change = core.complete_step(grown.execution, self._step_id, context=context)
            return start_all(replace(change, events=(*grown.events, *change.events)), pulled, context)

        try:
            await self._settle_with(settled, with_review_event(complete, self._step_id, judged), document=document)
        finally:
            self._papers.keep(self._execution, self._step_id, document)
            self.following = [each for each in pulled if each.has_started(self._execution)]
            self.claimed = len(self.following)

    async def _hand_in(self, settled: Call, document: Document, judged: Judgement | None) -> None:
        """Store the document; a person decides about it."""

        def hand_in(execution: Execution, context: core.Context) -> core.Change:
            return acceptance.request_acceptance(execution, self._step_id, context=context)

        await self._settle_with(settled, with_review_event(hand_in, self._step_id, judged), document=document)

    async def _pull(self, document: Document) -> list[PreparedStep]:
        self.claimed = max(self._room() + 1, 0)  # this step makes room for one
        pulled = await prepare_dependents(
            self._ports,
            definition=self._definition,
            execution=self._grown(self._execution, document, document.created_at).execution,
            documents=self._papers,
            document=document,
            limit=self.claimed,
        )
        self.claimed = len(pulled)
        return pulled

    def _grown(self, execution: Execution, document: Document, now: datetime) -> core.Change:
        return self._collections.expand(execution, document.content, now=now)

    async def _exhaust(
        self, settled: Call, message: str, *, violations: tuple[FieldError, ...], judged: Judgement | None
    ) -> None:
        """Give up trying for a good output: the step fails, or a person decides about the last one that was valid."""
        found = await self._last_judged(settled) if self._attempts.step.on_exhausted is OnExhausted.ACCEPTANCE else None
        if found is not None:
            await self._hand_in(settled, self._document(*found), judged)
            return
        failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message=message)
        await self._settle_with(settled, with_review_event(self._fail(failure, violations), self._step_id, judged))

    async def _last_judged(self, settled: Call) -> tuple[Candidate, Judgement] | None:
        known = await self._ports.ledger.calls(self._execution.id, self._step_id)
        calls = [call for call in known if call.key != settled.key]
        first = self._now.attempt - self._now.invalid_outputs  # what came before it people have seen
        mine = [call for call in (*calls, settled) if call.key.attempt >= first]
        return last_reviewed(mine, self._attempts.step.output_schema)
