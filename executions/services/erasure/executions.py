"""Commands: erase the contents of executions. Numbers, hashes and provenance stay."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from access.audit import Act
from access.permissions import NEEDED_ROLE, Action
from access.services import forget_answers
from access.user import User
from common.database.server import database_now
from documents import erasure as documents
from documents.files import storage
from executions.engine.domain.brief import answered_files, file_ids
from executions.engine.domain.errors import NotEnded
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import Erasing
from executions.persistence import erasure, repositories
from executions.persistence.notifier import announce, announce_inbox
from executions.queue.jobs import forget_jobs
from executions.services.locking import lock_for_update, record_act
from telemetry import ledger

BATCH_SIZE = 200  # document versions or calls that one transaction erases; their texts are long


def erase_execution(
    *, user: User, execution_id: UUID, now: datetime, expected_versions: Collection[int] | None = None
) -> Execution:
    """Erase what people and models wrote in an execution, with the versions of documents that it made.

    The first transaction marks it as erased, and records the act. The rest follows in transactions of limited size; if
    this process ends before, a worker goes on. Repeating it records nothing again.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user is no owner of its scope.
        NotEnded: the execution has not ended.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    erased = _begin(user, execution_id, expected_versions=expected_versions, now=now)
    finish(execution_id)
    return erased


@transaction.atomic
def _begin(user: User, execution_id: UUID, *, expected_versions: Collection[int] | None, now: datetime) -> Execution:
    current = lock_for_update(user, execution_id, NEEDED_ROLE[Action.ERASE], expected_versions=expected_versions)
    if current.erased_at is None:
        erased = begin(current, Erasing.ALL, now=now)
    elif documents.has_made_any(execution_id):  # a person was erased, and the documents stayed
        erasure.also_documents(execution_id)
        erased = repositories.get(execution_id)
    else:
        return current
    record_act(Act.EXECUTION_ERASE, erased)
    return erased


def begin(execution: Execution, what: Erasing, *, now: datetime) -> Execution:
    """Mark a locked execution as erased, empty its rows, and delete the files that only it uses; return it after that.

    The caller records the act in the same transaction, and calls `finish` after it.

    Raises:
        NotEnded: the execution has not ended.
    """
    if not execution.ended:
        raise NotEnded
    used = {*file_ids(execution.input)}.union(*(answered_files(step.rounds) for step in execution.steps.values()))
    if used:
        others = partial(erasure.files_used_by_others, execution.id, execution.scope.id)
        storage.delete_files(used, also_used=others)
    erasure.begin(execution.id, what, now=now)
    transaction.on_commit(partial(announce, execution.id))
    transaction.on_commit(partial(announce_inbox, execution.scope.id))
    return repositories.get(execution.id)


def finish(execution_id: UUID) -> None:
    """Erase what is left of an execution, in transactions of limited size.

    Raises:
        DatabaseUnavailable: the connection was lost; earlier parts have been erased.
    """
    while erase_next(execution_id, now=database_now()):
        pass


@transaction.atomic
def erase_next(execution_id: UUID, *, now: datetime) -> bool:
    """Erase the next part of what is left of an execution; return whether more may be left.

    It locks nothing that other executions write, but for the heads of documents that the execution has made.
    """
    begun = erasure.lock_begun(execution_id)
    if begun is None:
        return False  # another process was faster
    is_whole = begun.what is Erasing.ALL
    if is_whole and documents.erase_made_by(execution_id, limit=BATCH_SIZE, now=now):
        return True
    if ledger.erase_texts(execution_id, limit=BATCH_SIZE, now=now):
        return True
    if erasure.delete_events(execution_id):
        return True
    if is_whole:
        erasure.empty_titles_elsewhere(execution_id, begun.root_id)
    erasure.delete_drafts(execution_id)
    erasure.erase_candidate(execution_id)
    forget_answers(execution_id, erasure.documents_of(execution_id) if is_whole else ())
    forget_jobs(execution_id)
    erasure.end(execution_id)
    return False
