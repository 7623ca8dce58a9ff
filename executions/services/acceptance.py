"""Commands: decisions about documents that wait for acceptance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from django.db import transaction
from pydantic import JsonValue

from access import selectors as access
from access.audit import Act
from access.permissions import NEEDED_ROLE, Action
from access.user import User
from common.errors import FieldError, Invalid, PreconditionFailed
from documents import repository as documents
from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision, PassageComment
from executions.engine.domain.copying import replace
from executions.engine.domain.execution import Document, Execution
from executions.engine.domain.states import StepStatus, WaitingOn
from executions.engine.domain.users import UserRef
from executions.engine.domain.waits import Vote
from executions.engine.transitions import acceptance, core, waits
from executions.persistence import repositories
from executions.queue.jobs import enqueue_advance
from executions.selectors import executions
from executions.services import staleness
from executions.services.documents import (
    Edit,
    edited_version,
    lock_head,
    record_edit,
    save_edit,
    tell_of_edit,
    validated,
)
from executions.services.locking import check_role, lock_for_update, record_act, store_decision
from workflows import repository as workflows

_ACTS = {
    AcceptanceAction.ACCEPT: Act.STEP_ACCEPT,
    AcceptanceAction.REJECT: Act.STEP_REJECT,
    AcceptanceAction.REQUEST_CHANGES: Act.STEP_REQUEST_CHANGES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEdit:
    """What a person accepts in place of the version that was read."""

    edit: Edit
    hash: str  # of what was sent
    title: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsDecision:
    """A decision about a waiting document, as a person sends it."""

    decision: AcceptanceAction
    document_version: int  # that was read
    comment: str = ""
    comments: tuple[PassageComment, ...] = ()
    only_commented: bool = False
    edit: AcceptedEdit | None = None  # stored as a version, and accepted
    head_version: int | None = None  # with which the version was compared

    @property
    def may_make_version(self) -> bool:
        """Whether the decision may store a version."""
        return self.decision is AcceptanceAction.ACCEPT and not (self.edit is None and self.head_version is None)

    def at(self, now: datetime, *, user: User) -> AcceptanceDecision:
        """Return the decision as a person has made it.

        Raises:
            Invalid: a request for changes has no comment.
        """
        made = AcceptanceDecision(
            decision=self.decision,
            document_version=self.document_version,
            comment=self.comment,
            comments=self.comments,
            only_commented=self.only_commented,
            head_version=self.head_version,
            edit_hash="" if self.edit is None else self.edit.hash,
            decided_by=user.get_username(),
            decided_by_id=user.pk,
            decided_at=now,
        )
        if made.decision is AcceptanceAction.REQUEST_CHANGES and not made.request:
            raise _required("/comment", "Describe the changes.", "A request for changes needs a comment.")
        return made


@transaction.atomic
def decide_acceptance(
    *,
    user: User,
    execution_id: UUID,
    step_id: str,
    said: PersonsDecision,
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Accept or reject a document, or request changes. An accepted proposal replaces the head `head_version`.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Invalid: a request for changes has no comment, the edit is not valid, or `head_version` is missing.
        NotWaiting: the step does not wait for a decision, or no longer does.
        VersionConflict: another version waits, or the execution has another one.
        PreconditionFailed: the head is no longer `head_version`.
        MayNotVote: other users decide.
    """
    others = _lock_others(user, execution_id, step_id) if said.may_make_version else []
    current = lock_for_update(user, execution_id, NEEDED_ROLE[Action.DECIDE], expected_versions=expected_versions)
    made = said.at(now, user=user)
    if _is_same_decision(current, step_id, made):
        return current
    current = waits.keep_votes(current, step_id, standing := _standing_votes(current, step_id))
    target = _target(current, made, step_id=step_id, said=said, user=user)

    def decide(execution: Execution, context: core.Context) -> core.Change:
        kept = waits.keep_votes(execution, step_id, standing)
        return acceptance.decide(kept, step_id, made, target=target, context=context)

    stored = store_decision(execution_id, decide, now)
    _record(current, stored, made, step_id=step_id)
    if target.final.version != target.read.version and target.final.author_name:
        tell_of_edit(target.final, others, repeated=True, now=now)
    staleness.refresh(stored.scope.id, [target.read.id])
    if not stored.ended:
        enqueue_advance(execution_id)
    return stored


def _standing_votes(execution: Execution, step_id: str) -> list[Vote]:
    """Return the votes about a step's document whose users may still vote: they are active, and have the role."""
    step = execution.steps.get(step_id)
    votes = () if step is None or step.wait is None else step.wait.votes
    if not votes:
        return []
    need = NEEDED_ROLE[Action.DECIDE]
    known = {each.voted_by_id for each in votes if each.voted_by_id is not None}
    ids = access.ids_with_role(execution.scope.id, known, need)
    names = access.names_with_role(execution.scope.id, {each.voted_by for each in votes}, need)
    return [each for each in votes if each.voted_by_id in ids or (each.voted_by_id is None and each.voted_by in names)]


def _record(before: Execution, stored: Execution, made: AcceptanceDecision, *, step_id: str) -> None:
    """Record the decision, or the vote that decides nothing yet."""
    act = _ACTS[made.decision] if waits.is_settled_by(before.steps[step_id], made) else Act.STEP_VOTE
    record_act(act, stored, part=step_id, version=made.document_version)


def _lock_others(user: User, execution_id: UUID, step_id: str) -> list[UUID]:
    """Lock the open executions that have made or reused the step's document, and return the ids of the others.

    All executions are locked in the order of their ids, as in all transactions. The role is checked before.
    """
    check_role(user, execution_id, NEEDED_ROLE[Action.DECIDE])
    document_id = executions.document_of_step(execution_id=execution_id, step_id=step_id)
    others = [] if document_id is None else executions.open_executions_of(document_id)
    repositories.lock_rows({execution_id, *others}).value  # noqa: B018 - waits for the locks
    return [each for each in others if each != execution_id]


def _target(
    execution: Execution, made: AcceptanceDecision, *, step_id: str, said: PersonsDecision, user: User
) -> acceptance.AcceptanceContext:
    pin = acceptance.waiting_document(execution, step_id, version=said.document_version)
    step = execution.steps[step_id]
    waits.check_voter(execution, step, made)
    read = repositories.get_document(pin.document_id, pin.version)
    if waits.is_settled_by(step, made):
        final = _final_version(read, said, root_id=execution.scope.id, user=user, now=made.decided_at)
    else:
        final = _voted_version(read, said)
    return acceptance.AcceptanceContext(
        read=read,
        final=final,
        editors=_editors(final) if read.proposed and said.decision is AcceptanceAction.REJECT else (),
        definition=workflows.get_definition(execution.workflow_id, execution.workflow_version),
    )


def _editors(head: Document) -> tuple[UserRef, ...]:
    return tuple(UserRef(id=each, name=name) for each, name in documents.editors(head.id, head.version))


def _voted_version(read: Document, said: PersonsDecision) -> Document:
    """Return the version that gets one of several votes: no version is made before the last one."""
    if read.proposed or said.head_version is not None:
        _check_head(lock_head(read), said.head_version)
    return read


def _final_version(read: Document, said: PersonsDecision, *, root_id: UUID, user: User, now: datetime) -> Document:
    """Return the version with which the step completes, and store it if the decision makes one."""
    if read.proposed:
        head = lock_head(read)
        if said.decision is AcceptanceAction.REJECT:
            _check_content(head, read.schema)  # the steps after this one read it
            return head
        if said.decision is AcceptanceAction.REQUEST_CHANGES:
            return read
        _check_head(head, said.head_version)
    elif said.may_make_version:
        head = lock_head(read)
        if said.head_version is not None or head.version != read.version:
            _check_head(head, said.head_version)  # an edit would replace a version that the person has not read
    return _accepted(read, said.edit, root_id=root_id, user=user, now=now)


def _check_content(head: Document, schema: Mapping[str, JsonValue]) -> None:
    try:
        validated(cast(JsonValue, head.content), schema)
    except Invalid as error:
        places = ((each.pointer.removeprefix("/content") or "/", each) for each in error.errors)
        told = [FieldError(pointer="", code=each.code, detail=f"At {place}: {each.detail}") for place, each in places]
        sentence = "The newest version is not valid for this step; edit it, or accept the proposed one."
        raise Invalid(sentence, told) from error


def _accepted(read: Document, edit: AcceptedEdit | None, *, root_id: UUID, user: User, now: datetime) -> Document:
    """Return the accepted version: what was read, the person's edit of it, or a proposed version as the head."""
    edited = read
    if edit is not None:
        edited = edited_version(read, user=user, edit=edit.edit, title=edit.title, note=edit.note, now=now)
    if edited is not read:
        record_edit(Act.DOCUMENT_EDIT, edited, root_id=root_id)
        return save_edit(edited)
    if not read.proposed:
        return read
    return save_edit(replace(read, version=documents.last_version(read.id) + 1, proposed=False, created_at=now))


def _check_head(head: Document, head_version: int | None) -> None:
    if head_version is None:
        detail = f"Send the document's version with which you compared; it is {head.version} now."
        raise _required("/head_version", detail, "Another version is the newest; name it, to replace it.")
    if head.version != head_version:
        raise PreconditionFailed


def _required(pointer: str, detail: str, sentence: str) -> Invalid:
    return Invalid(sentence, [FieldError(pointer=pointer, code="required", detail=detail)])


def _is_same_decision(execution: Execution, step_id: str, made: AcceptanceDecision) -> bool:
    """Return whether the decision was the last one about the step, and the step has not gone on since."""
    step = execution.steps.get(step_id)
    last = step.decisions[-1] if step is not None and step.decisions else None
    if step is not None and waits.has_voted(step, made):
        return True
    if step is None or last is None or not last.is_repeated_by(made):
        return False
    kept_head = last.about_proposal and last.decision is AcceptanceAction.REJECT
    followed = kept_head and (step.status is StepStatus.COMPLETED or step.waits_for is WaitingOn.ACCEPTANCE)
    return followed or step.document_version in {last.document_version, last.accepted}
