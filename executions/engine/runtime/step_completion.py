"""The end of a step: its document and what can start with it, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from common.errors import FieldError, VersionConflict
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution, Failure
from executions.engine.domain.states import FailureCode
from executions.engine.prompting.documents import new_document
from executions.engine.runtime.attempts import Attempts
from executions.engine.runtime.call_loop import CallLoop
from executions.engine.runtime.chaining import PreparedStep, prepare_dependents, start_all
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.reuse import complete_with, current_document
from executions.engine.runtime.step_journal import StepJournal
from executions.engine.transitions import acceptance, core
from executions.engine.transitions.for_each import Collections
from executions.engine.transitions.reviews import Candidate, Judgement, last_reviewed, with_review_event
from workflows.definitions.definition import OnExhausted, WorkflowDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependents:
    """The data for starting the dependents of a step."""

    definition: WorkflowDefinition
    documents: DocumentCache
    room: Callable[[], int]  # number of free slots for further steps
    starts: bool  # whether dependents start in the transition that stores the document


class StepCompletion:
    """The last transition of a step, stored together with the call that led to it."""

    def __init__(
        self,
        journal: StepJournal,
        attempts: Attempts,
        *,
        calls: CallLoop,
        collections: Collections,
        dependents: Dependents,
    ) -> None:
        self._journal = journal
        self._attempts = attempts
        self._calls = calls
        self._collections = collections
        self._dependents = dependents

    def document(self, candidate: Candidate, judged: Judgement | None = None) -> Document:
        """Return the document of a valid reply."""
        return new_document(
            candidate.content,
            execution=self._journal.execution,
            definition=self._attempts.step,
            origin=self._attempts.origin(self._journal.execution),
            call=candidate.call,
            review=None if judged is None else judged.provenance,
            condensed=candidate.condensed,
            now=self._journal.ports.clock.now(),
        )

    async def complete_with(self, settled: Call, document: Document, judged: Judgement | None = None) -> None:
        """Store the document. Dependents that can start, and have a free slot, start in the same transition.

        If a person has edited the document meanwhile, it is only proposed, and waits for a decision.
        """
        if self._attempts.step.acceptance is not None:
            await self._store_document(settled, document, judged)
            return
        prepared = await self._prepare_dependents(document) if self._dependents.starts else []

        def complete(execution: Execution, context: core.Context) -> core.Change:
            if context.document is not None and context.document.proposed:
                return self._request_acceptance(execution, context)
            grown = self._grown(execution, document, context.now)
            change = core.complete_step(grown.execution, self._journal.step_id, context=context)
            return start_all(replace(change, events=(*grown.events, *change.events)), prepared, context)

        try:
            await self._journal.settle_with(
                settled,
                with_review_event(complete, self._journal.step_id, judged),
                document=document,
                may_start=tuple((each.step_id, each.scope_id) for each in prepared),
            )
        finally:
            self._dependents.documents.keep(self._journal.execution, self._journal.step_id, document)
            self._journal.following = [each for each in prepared if each.has_started(self._journal.execution)]
            self._journal.claimed = len(self._journal.following)

    async def reuse(self, inputs: tuple[Document, ...]) -> bool:
        """Complete the step with the scope's document if that is current for these inputs; return whether it is.

        If the document is erased meanwhile, it is not current.
        """
        journal, collections = self._journal, self._collections
        found = await current_document(
            journal.execution, journal.ports, attempts=self._attempts, inputs=inputs, collections=collections
        )
        if found is None:
            return False

        def complete(execution: Execution, context: core.Context) -> core.Change:
            return complete_with(
                found, execution, journal.step_id, inputs=inputs, collections=collections, context=context
            )

        try:
            await journal.commit(complete)
        except VersionConflict:
            return False
        self._dependents.documents.keep(journal.execution, journal.step_id, found)
        return True

    async def _store_document(self, settled: Call, document: Document, judged: Judgement | None) -> None:
        """Store the document for a person's decision."""
        await self._journal.settle_with(
            settled, with_review_event(self._request_acceptance, self._journal.step_id, judged), document=document
        )

    def _request_acceptance(self, execution: Execution, context: core.Context) -> core.Change:
        waiting = self._attempts.step.wait
        return acceptance.request_acceptance(execution, self._journal.step_id, waiting=waiting, context=context)

    async def _prepare_dependents(self, document: Document) -> list[PreparedStep]:
        self._journal.claimed = max(self._dependents.room() + 1, 0)  # this step frees one slot
        prepared = await prepare_dependents(
            self._journal.ports,
            definition=self._dependents.definition,
            execution=self._grown(self._journal.execution, document, document.created_at).execution,
            documents=self._dependents.documents,
            document=document,
            limit=self._journal.claimed,
        )
        self._journal.claimed = len(prepared)
        return prepared

    def _grown(self, execution: Execution, document: Document, now: datetime) -> core.Change:
        return self._collections.expand(execution, document.content, now=now)

    async def exhaust(
        self, settled: Call, message: str, *, violations: tuple[FieldError, ...], judged: Judgement | None
    ) -> None:
        """Stop the attempts: the step fails, or a person decides about the last valid output."""
        found = (
            await self._last_reviewed(settled) if self._attempts.step.on_exhausted is OnExhausted.ACCEPTANCE else None
        )
        if found is not None:
            await self._store_document(settled, self.document(*found), judged)
            return
        failure = Failure(code=FailureCode.VALIDATION_EXHAUSTED, message=message)
        await self._journal.settle_with(
            settled, with_review_event(self._calls.fail(failure, violations), self._journal.step_id, judged)
        )

    async def _last_reviewed(self, settled: Call) -> tuple[Candidate, Judgement] | None:
        known = await self._journal.ports.ledger.calls(self._journal.execution.id, self._journal.step_id)
        calls = [call for call in known if call.key != settled.key]
        first = self._journal.step.attempt - self._journal.step.invalid_outputs  # people have seen earlier ones
        mine = [call for call in (*calls, settled) if call.key.attempt >= first]
        return last_reviewed(mine, self._attempts.step.output_schema)
