"""Builds the prompts of one step, each with the ledger record of its call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from pydantic import JsonValue

from common.errors import FieldError
from documents.comparison.passages import Anchor, unchanged_elsewhere
from executions.engine.domain.acceptance import CHANGED_ELSEWHERE, CHANGES_REQUESTED, AcceptanceAction, Revision
from executions.engine.domain.brief import (
    BriefFile,
    answered_files,
    answers_in_order,
    file_ids,
    file_of,
    with_distinct_names,
    without_files,
)
from executions.engine.domain.calls import TEXT_ONLY, Call, CallKey, Material, ModelRequest, max_tokens_of
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution, Pin, Step, keys_of
from executions.engine.domain.retries import NO_TRIES, Tries, failed_tries, has_waited
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.ports import Ports
from executions.engine.prompting.citations import bad_citations
from executions.engine.prompting.documents import rejected_output
from executions.engine.prompting.json_text import pretty, shown
from executions.engine.prompting.origin import brief_hash
from executions.engine.prompting.prompts import PromptInputs, RejectedOutput, build_request
from executions.engine.prompting.replies import MAX_VIOLATIONS
from executions.engine.runtime.document_cache import DocumentCache
from executions.engine.runtime.step_plan import resolve_step
from executions.engine.transitions.budgets import seconds_for_a_call
from executions.engine.transitions.for_each import item_material
from executions.engine.transitions.planner import instance_id
from executions.engine.transitions.reviews import Candidate, build_review, review_of
from workflows.definitions.definition import WorkflowDefinition

_MUST_STAY = "Only the commented passages may change. This place must stay as it was, to the letter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a call asks, and which model."""

    number: int  # number of the attempt
    kind: CallKind
    model: str  # resolved "provider:model"
    inputs: tuple[Document, ...]
    ordinal: int = 1  # number of the call within the attempt
    rejected: RejectedOutput | None = None  # output that has to be corrected
    revision: Revision | None = None  # the version that it follows, with the requested changes
    candidate: Candidate | None = None  # document that has to be reviewed
    unclear: int = 0  # reviews of it without a valid verdict
    condensed: bool = False  # the materials are shortened, because they were too long for the model
    as_text: bool = False  # no file is attached, because the provider refused the request with files


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One prompt and its call."""

    plan: Plan
    request: ModelRequest
    call: Call
    failed: Tries = NO_TRIES  # failed tries before this one


class Attempts:
    """Builds the attempts of one step."""

    def __init__(self, ports: Ports, *, definition: WorkflowDefinition, step_id: str, documents: DocumentCache) -> None:
        self._ports = ports
        self._definition = definition
        self.documents = documents
        self.step_id = step_id
        self._resolved = resolve_step(definition, step_id, models=ports.models)
        self.step = self._resolved.step
        self.reads = self._resolved.reads
        self.model = self._resolved.models[0]
        self.step_hash = self._resolved.hash

    async def inputs(self, execution: Execution, *, new_document: Document | None = None) -> list[Document | None]:
        """Return the newest version of each document that the step reads, None for a missing one.

        `new_document` is about to be stored. It is used as the newest of its type.
        """
        found = [
            new_document
            if new_document is not None and kind == new_document.type
            else await self.documents.newest(execution, *self._maker(kind))
            for kind in self.reads
        ]
        await self._read_files(execution, [each for each in found if each is not None])
        return found

    def brief_hash(self, execution: Execution) -> str:
        """Return the hash of the brief, whose files `inputs` has read."""
        return brief_hash(execution.input, self.documents.files_of(file_ids(execution.input)))

    def origin(self, execution: Execution) -> dict[str, JsonValue]:
        """Return what, beside inputs and answers, the step's document is made from."""
        hashes: dict[str, JsonValue] = {"step_hash": self.step_hash, "brief_hash": self.brief_hash(execution)}
        return {"workflow_id": execution.workflow_id, "step_id": execution.steps[self.step_id].slug, **hashes}

    async def _read_files(self, execution: Execution, inputs: Sequence[Document]) -> None:
        await self.documents.read_scope_files(execution, self._definition.scope_documents)
        own = self._file_ids(execution, inputs)
        await self.documents.read_files(execution, [*self._numbered_ids(execution), *own])

    def _numbered_ids(self, execution: Execution) -> list[UUID]:
        """Return the ids of the execution's files in the order by which equal names are numbered: new ones are last."""
        return [*file_ids(execution.input), *self.documents.scope_files, *answers_in_order(execution)]

    def _file_ids(self, execution: Execution, inputs: Sequence[Document]) -> list[UUID]:
        """Return the ids of the brief's files, then those of the inputs, then those of answers."""
        made = [each for each in inputs if file_of(each.provenance) is not None]
        of_inputs = [found for each in self._shown(made) if (found := file_of(each.provenance)) is not None]
        return [*file_ids(execution.input), *of_inputs, *answered_files(execution.steps[self.step_id].rounds)]

    def _files(self, execution: Execution, inputs: Sequence[Document]) -> dict[UUID, BriefFile]:
        """Return the files that the step's prompts show, by id, with distinct names.

        A file has the same name in all steps: its number follows from all files of the execution.
        """
        own = self._file_ids(execution, inputs)
        if not own:
            return {}
        named = with_distinct_names(self.documents.files_of([*self._numbered_ids(execution), *own]))
        found = {each.id: each for each in named}
        return {each: found[each] for each in own if each in found}

    def _shown(self, inputs: Sequence[Document]) -> list[Document]:
        """Return the documents that the prompt shows, in its order."""
        order = self._definition.document_order.index
        return sorted((each for each in inputs if each.type in self.step.inputs), key=lambda each: order(each.type))

    def _maker(self, kind: str) -> tuple[str, str]:
        """Return the id of the step instance that produces a document, for the same item or an outer one; "": none."""
        producer = self._definition.producers.get(kind)
        if producer is None:
            return kind, ""
        depth = len(self._definition.for_each_chain[producer.id])
        return kind, instance_id(producer.id, keys_of(self.step_id)[:depth])

    def _items(self, inputs: Sequence[Document]) -> list[Material]:
        """Return the items of the step, outermost first, without those that no longer exist."""
        documents = {each.type: each for each in inputs}
        found = (
            item_material(over, documents[over.document].content, key)
            for over, key in zip(self._definition.loops[self.step.id], keys_of(self.step_id), strict=True)
        )
        return [item for item in found if item is not None]

    async def first(self, execution: Execution, inputs: tuple[Document, ...]) -> Attempt | None:
        """Return the attempt that starts the step, or continues it after answers or a retry.

        None: these versions of the documents do not contain the step's item.
        """
        step = execution.steps[self.step_id]
        if len(self._items(inputs)) < len(keys_of(self.step_id)):
            return None
        kind = CallKind.CLARIFY if step.was_answered else CallKind.GENERATE
        rejected = revision = None
        if step.revision is not None:
            revision = await self._revision(step)
            rejected = self._rejected(replace(step, violations=step.violations_at_start), (), revision)
        plan = Plan(
            number=step.attempt + 1,
            kind=kind if rejected is None else CallKind.REMEDIATE,
            model=self.model,
            inputs=inputs,
            rejected=rejected,
            revision=revision,
        )
        return self.build(execution, plan)

    def remediation(self, execution: Execution, earlier: Plan, rejected: RejectedOutput) -> Attempt:
        """Return the attempt that corrects rejected output, with the model that wrote it."""
        number = earlier.number + 1
        model = earlier.model if earlier.candidate is None else earlier.candidate.call.model
        plan = Plan(
            number=number,
            kind=CallKind.REMEDIATE,
            model=model,
            inputs=earlier.inputs,
            rejected=_with_kept(rejected, earlier.revision),
            revision=earlier.revision,
        )
        return self.build(execution, plan)

    def review(self, execution: Execution, earlier: Plan, candidate: Candidate, *, known: Sequence[Call]) -> Attempt:
        """Return the next review of the document of an attempt, or the last known one if it has a reply.

        `known` are the earlier reviews of the document.
        """
        plan = replace(
            earlier,
            kind=CallKind.REVIEW,
            model=self._resolved.reviewers[0],
            ordinal=1,
            rejected=None,
            candidate=candidate,
            condensed=False,
        )
        tries: list[Call] = []  # since the last reply
        for call in known:
            if call.status is not CallStatus.COMMITTED or call.reply is None:
                tries.append(call)
                continue
            plan, tries = replace(plan, model=call.model, ordinal=call.key.ordinal), []
            said = review_of(call)
            if call is known[-1] or not isinstance(said, RejectedOutput):
                return replace(self.build(execution, plan), call=call)
            plan = replace(plan, ordinal=plan.ordinal + 1, rejected=said, unclear=plan.unclear + 1)
        return self._going_on(execution, plan, tries)

    def review_again(self, execution: Execution, earlier: Plan, unclear: RejectedOutput) -> Attempt:
        """Return the review that follows one without a valid verdict."""
        plan = replace(earlier, ordinal=earlier.ordinal + 1, rejected=unclear, unclear=earlier.unclear + 1)
        return self.build(execution, plan)

    async def present(self, execution: Execution, known: Sequence[Call]) -> Attempt:
        """Rebuild the current attempt with the next try of its call; `known` are the step's calls so far."""
        step = execution.steps[self.step_id]
        inputs = tuple([await self.documents.pinned(pin) for pin in step.input_versions])
        await self._read_files(execution, inputs)
        revision = await self._revision(step)
        rejected = self._rejected(step, known, revision)
        makers = [call for call in known if call.key.kind is not CallKind.REVIEW]
        kind = CallKind.CLARIFY if step.was_answered else CallKind.GENERATE
        plan = Plan(
            number=step.attempt,
            kind=CallKind.REMEDIATE if rejected else kind,
            model=makers[-1].model if makers and rejected else self.model,
            inputs=inputs,
            rejected=rejected,
            revision=revision,
        )
        return self._going_on(execution, plan, [call for call in makers if call.key.attempt == step.attempt])

    async def _revision(self, step: Step) -> Revision | None:
        """Return the version that people read last, if they asked for changes of it."""
        last = step.decisions[-1] if step.decisions else None
        if last is None or last.decision is not AcceptanceAction.REQUEST_CHANGES or step.document_id is None:
            return None
        read = Pin(type=step.produces, document_id=step.document_id, version=last.document_version)
        return Revision(content=(await self.documents.pinned(read)).content, request=last)

    def _rejected(self, step: Step, known: Sequence[Call], revision: Revision | None) -> RejectedOutput | None:
        """Return the output to correct: the version that people read, or the last output."""
        rejected = rejected_output(step, known)
        if rejected is None:
            return None
        if revision is not None and rejected.violations[0].code == CHANGES_REQUESTED:
            rejected = replace(rejected, output=pretty(revision.content))
        return _with_kept(rejected, revision)

    async def changes_elsewhere(self, execution: Execution, content: JsonValue) -> tuple[FieldError, ...]:
        """Return the places where a new document differs though a person permits changes only at some passages."""
        revision = await self._revision(execution.steps[self.step_id])
        if revision is None or not revision.request.only_commented:
            return ()
        passages = [Anchor(each.pointer, each.quote) for each in revision.request.comments]
        return tuple(
            FieldError(pointer=place, code=CHANGED_ELSEWHERE, detail=_MUST_STAY)
            for place in unchanged_elsewhere(dict(revision.content), content, passages)[:MAX_VIOLATIONS]
        )

    def bad_citations(
        self, execution: Execution, content: JsonValue, inputs: Sequence[Document]
    ) -> tuple[FieldError, ...]:
        """Return the places of a new document that cite places that its files do not have.

        The files are those of the brief, of the documents that the step reads, and of answers. A text may also cite a
        file by its own name, as an edited text of it does.
        """
        files = self._files(execution, inputs)
        if not files:
            return ()
        cited = [*files.values(), *self.documents.files_of(files)]
        return tuple(islice(bad_citations(content, cited), MAX_VIOLATIONS))

    def _going_on(self, execution: Execution, plan: Plan, tries: Sequence[Call]) -> Attempt:
        """Return the next try of a call: the same prompt to the same model as in the last try."""
        if not tries:
            return self.build(execution, plan)
        last = tries[-1]
        plan = replace(plan, ordinal=last.key.ordinal + 1, model=last.model)
        ways = self.ways(execution, plan)
        attempt = next((each for each in ways if each.call.request_hash == last.request_hash), ways[-1])
        request = replace(attempt.request, has_waited=any(map(has_waited, tries)))
        failed = failed_tries(tries, request_hash=attempt.call.request_hash)
        return replace(attempt, request=request, failed=failed)

    def ways(self, execution: Execution, plan: Plan) -> list[Attempt]:
        """Return the attempts that a plan can have after failures: shortened, or with files as text. The usual is last.

        A prompt that cannot be shortened counts as shortened.
        """
        usual = self.build(execution, replace(plan, condensed=False, as_text=False))
        changed = [(True, False), *([(True, True), (False, True)] if usual.request.attachments else [])]
        plans = [replace(plan, condensed=condensed, as_text=as_text) for condensed, as_text in changed]
        return [*(self.build(execution, each) for each in plans), usual]

    def next_model(self, plan: Plan) -> str | None:
        """Return the model to use if the plan's model cannot do it; None: there is no other."""
        models = self._resolved.models if plan.candidate is None else self._resolved.reviewers
        later = models[models.index(plan.model) + 1 :] if plan.model in models else ()
        return later[0] if later else None

    def build(self, execution: Execution, plan: Plan) -> Attempt:
        """Return the attempt for a plan."""
        request = self._request(execution, plan)
        now = self._ports.clock.now()
        seconds = seconds_for_a_call(execution, request.timeout_seconds, now)
        request = replace(
            request,
            timeout_seconds=seconds,
            scope_id=execution.scope.id,
            attempt=plan.number,
            ordinal=plan.ordinal,
            revision=plan.revision,
            script=None if execution.script is None else execution.script.of(self.step_id),
        )
        key = CallKey(
            execution_id=execution.id,
            step_id=self.step_id,
            attempt=plan.number,
            kind=plan.kind,
            ordinal=plan.ordinal,
        )
        call = Call(
            key=key,
            model=plan.model,
            request_hash=request.request_hash,
            status=CallStatus.PENDING,
            started_at=now,
            estimated_cost_usd=self._ports.models.estimate(request),
            reserved_tokens=max_tokens_of(request),
        )
        return Attempt(plan=plan, request=request, call=call)

    def _request(self, execution: Execution, plan: Plan) -> ModelRequest:
        step = execution.steps[self.step_id]
        documents, files = self._shown(plan.inputs), self._files(execution, plan.inputs)
        given = PromptInputs(
            brief=without_files(execution.input, files.keys()),
            files=[files[each] for each in file_ids(execution.input) if each in files],
            documents=documents,
            document_files=_as_files(documents, self.documents, files),
            answer_files={each: files[each] for each in answered_files(step.rounds) if each in files},
            reading=TEXT_ONLY if plan.as_text else self._ports.models.reading(plan.model),
            items=self._items(plan.inputs),
            rounds=step.rounds,
            decisions=step.decisions,
            shared=self._resolved.shared if plan.model == self.model else 0,
            offers_questions=self._definition.may_ask,
        )
        names = self._names(step)
        definition = self.step.rendered(names)
        if plan.candidate is not None and definition.review is not None:
            return build_review(
                step_id=self.step_id,
                step=definition,
                policy=definition.review,
                model=plan.model,
                inputs=given,
                candidate=plan.candidate,
                rejected=plan.rejected,
                condensed=plan.condensed,
            )
        return build_request(
            step_id=self.step_id,
            step=definition,
            role=self._definition.roles[self.step.role].rendered(names),
            model=plan.model,
            inputs=given,
            rejected=plan.rejected,
            condensed=plan.condensed,
        )

    def _names(self, step: Step) -> dict[str, str]:
        """Return the values of the placeholders that `workflows.definitions.placeholders` defines."""
        names = {
            "workflow.id": self._definition.id,
            "workflow.name": self._definition.name,
            "step.id": self.step.id,
            "step.name": self.step.name,
            "document.type": self.step.produces,
            "scope.type": step.scope.type,
        }
        return {**names, "item.key": step.keys[-1]} if step.keys else names


def _with_kept(rejected: RejectedOutput, revision: Revision | None) -> RejectedOutput:
    """Return the output with the version that has to stay outside of commented passages, if there is one."""
    if revision is None or not revision.request.only_commented:
        return rejected
    return replace(rejected, kept=pretty(revision.content))


def _as_files(
    documents: Sequence[Document], cache: DocumentCache, named: Mapping[UUID, BriefFile]
) -> dict[UUID, BriefFile]:
    """Return the files that documents were made from, by document id, as long as no person has edited the text."""
    found: dict[UUID, BriefFile] = {}
    for document in documents:
        origin = file_of(document.provenance)
        for stored in () if origin is None else cache.files_of([origin]):
            if shown(document.content) == stored.text:
                found[document.id] = named[stored.id]
    return found
