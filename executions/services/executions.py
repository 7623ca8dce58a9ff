"""Commands: start, answer, cancel and retry executions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from pydantic import JsonValue
from uuid_utils.compat import uuid7

from access.audit import Act, record
from access.permissions import NEEDED_ROLE, Action
from access.services import claim_root_scope
from access.user import User
from documents import selectors as documents_read
from executions.engine.domain.copying import replace
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.execution import Brief, Execution, ScopeRef, Step
from executions.engine.domain.states import ExecutionStatus, Reuse
from executions.engine.transitions import clarification, core, retry
from executions.engine.transitions.acceptance import WaitingDocument
from executions.engine.transitions.planner import dependents, new_execution
from executions.persistence import repositories
from executions.persistence.journal import journal
from executions.queue.jobs import enqueue_advance
from executions.services.candidates import try_candidate
from executions.services.files import use_answers, use_files
from executions.services.locking import lock_for_update, record_act, store_decision
from executions.services.preflight import ResolvedWorkflow, check_can_start, load_start_context, resolve_workflow
from workflows.definitions.budget import merge_limits
from workflows.definitions.definition import WorkflowDefinition

logger = logging.getLogger(__name__)


@transaction.atomic
def start_execution(
    *,
    user: User,
    workflow_id: str = "",
    scope_type: str,
    scope_id: str,
    input: Brief | None = None,
    workflow_version: int | None = None,
    candidate: WorkflowDefinition | None = None,
    tags: Sequence[str] = (),
    budget: Mapping[str, Any] | None = None,
    script: DryRunScript | None = None,
    reuse: Reuse = Reuse.NONE,
    now: datetime,
) -> Execution:
    """Create an execution, its first event and its job in one transaction. With `script` it is a dry run.

    Raises:
        NotFound: there is no such workflow or version.
        WorkflowRetired: the workflow is retired.
        AuthorRequired: there is a candidate in place of a published workflow, and the user is no author.
        ScopeForbidden: the scope belongs to another user.
        BudgetExceeded: the scope has used up its budget for this month.
        UnpricedModel: a step's model has no known price, and REQUIRE_PRICED is on.
        Invalid: the brief, one of its files, an input document or a model's provider is missing or not accepted.
    """
    asked = (workflow_id, workflow_version)
    there = load_start_context(user, asked, scope_type=scope_type, scope_key=scope_id, now=now)
    if candidate is None:
        wanted = resolve_workflow(*asked, versions=there.versions)
    else:
        wanted = try_candidate(user, candidate, script=script, now=now)
    scope = claim_root_scope(user=user, scope_type=scope_type, scope_key=scope_id, there=there.scopes)
    if isinstance(input, Mapping):  # a text has no files
        use_files(user=user, brief=input, root_id=scope.id)
    check_can_start(wanted.definition, scope.id, rooms=there.rooms, brief=input, script=script, now=now)
    where = ScopeRef(id=scope.id, type=scope.type, key=scope.key)
    execution = _planned(wanted, scope=where, brief=input, script=script, budget=budget, now=now)
    return _store_new(replace(execution, tags=tuple(tags), reuse=reuse), user=user, version_id=wanted.row_id)


def _planned(
    wanted: ResolvedWorkflow,
    *,
    scope: ScopeRef,
    brief: Brief | None,
    script: DryRunScript | None,
    budget: Mapping[str, Any] | None,
    now: datetime,
) -> Execution:
    """Return the new execution. Limits of the request replace those of the workflow."""
    definition = wanted.definition
    limits = merge_limits(definition.budget, budget) if definition.budget or budget else None
    planned = new_execution(
        definition,
        execution_id=uuid7(),
        workflow_version=wanted.version,
        scope=scope,
        brief=brief,
        script=script,
        now=now,
    )
    return replace(planned, budget=limits)


def _store_new(execution: Execution, *, user: User, version_id: int) -> Execution:
    execution = replace(execution, requested_by=user.pk, requested_by_name=user.get_username())
    stored = journal.create(core.create(execution), version_id=version_id)
    record(Act.EXECUTION_START, "execution", stored.id, root_id=stored.scope.id, version=stored.version)
    enqueue_advance(stored.id)
    return stored


@transaction.atomic
def submit_clarification(
    *,
    user: User,
    execution_id: UUID,
    step_id: str,
    answers: Mapping[str, JsonValue],
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Answer a step's open questions and continue the execution. Repeating the same answers changes nothing.

    Raises:
        NotFound: there is no such execution or step, or none that the user may see.
        Forbidden: the user's role does not permit it.
        InvalidAnswers: some answers are not valid; the questions stay open.
        NotWaiting: the step has no open questions, or they have been answered already.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    current = lock_for_update(user, execution_id, NEEDED_ROLE[Action.ANSWER], expected_versions=expected_versions)
    step = current.steps.get(step_id)
    if step is not None and clarification.is_same_answer(step, answers):
        return current
    named = {} if step is None else clarification.files_in(step, answers)
    files = use_answers(user=user, execution=current, named=named)

    def decide(execution: Execution, context: core.Context) -> core.Change:
        name = user.get_username()
        return clarification.answer(execution, step_id, answers, answered_by=name, files=files, context=context)

    stored = store_decision(execution_id, decide, now)
    record_act(Act.STEP_ANSWER, stored, part=step_id)
    enqueue_advance(execution_id)
    return stored


@transaction.atomic
def cancel_execution(
    *, user: User, execution_id: UUID, now: datetime, expected_versions: Collection[int] | None = None
) -> Execution:
    """Cancel an execution. Repeating it changes nothing.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not permit it.
        IllegalTransition: the execution has completed or failed.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    current = lock_for_update(user, execution_id, NEEDED_ROLE[Action.CANCEL], expected_versions=expected_versions)
    if current.status is ExecutionStatus.CANCELLED:
        return current
    stored = store_decision(execution_id, lambda execution, context: core.cancel(execution, context=context), now)
    record_act(Act.EXECUTION_CANCEL, stored)
    return stored


@transaction.atomic
def retry_execution(
    *,
    user: User,
    execution_id: UUID,
    from_step: str | None = None,
    now: datetime,
    expected_versions: Collection[int] | None = None,
) -> Execution:
    """Continue a failed or cancelled execution, from its unfinished steps or from an earlier step.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the user's role does not permit it.
        Erased: the contents of the execution were erased.
        IllegalTransition: the execution has neither failed nor been cancelled.
        Invalid: the execution has no such step.
        VersionConflict: the execution's version is not in `expected_versions`.
    """
    held = lock_for_update(user, execution_id, NEEDED_ROLE[Action.RETRY], expected_versions=expected_versions)
    waiting = waiting_documents(step for step in held.steps.values() if retry.was_awaiting_decision(step))

    def decide(execution: Execution, context: core.Context) -> core.Change:
        name = user.get_username()
        return retry.retry(execution, from_step=from_step, requested_by=name, waiting=waiting, context=context)

    stored = store_decision(execution_id, decide, now)
    record_act(Act.EXECUTION_RETRY, stored, part=from_step or "")
    enqueue_advance(execution_id)
    return stored


def steps_run_again(execution_id: UUID, from_step: str) -> list[str]:
    """Return the steps that a retry from a step would run again: this one, and all that depend on it.

    The caller checks that the user may see the execution, and that it has the step.
    """
    execution = repositories.get(execution_id)
    return [from_step, *(step.step_id for step in dependents(execution, from_step))]


def waiting_documents(steps: Iterable[Step]) -> dict[UUID, WaitingDocument]:
    """Return what is told of the documents of steps that wait for a decision, by document id."""
    found = documents_read.headings((step.document_id, step.document_version) for step in steps)
    return {key: WaitingDocument(title=each.title, proposed=each.proposed) for (key, _), each in found.items() if key}
