"""Checks before an execution starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings

from access.selectors import named_root_scopes
from access.user import User
from common.database.bulk import run_together
from common.errors import FieldError, Invalid, NotFound
from common.json_pointer import pointer
from documents import repository as documents
from executions.composition import build_ports
from executions.engine.domain.answer_validation import question_errors
from executions.engine.domain.dry_run import DryRunScript
from executions.engine.domain.errors import BudgetExceeded, UnpricedModel
from executions.engine.domain.execution import Brief
from telemetry import spending
from telemetry.pricing import prices
from workflows import repository as workflows
from workflows.definitions.definition import BriefPolicy, WorkflowDefinition
from workflows.errors import WorkflowRetired
from workflows.selectors import no_step, no_version, no_workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedWorkflow:
    """A published version of a workflow."""

    definition: WorkflowDefinition
    version: int
    row_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContext:
    """Data for a start, loaded in one round trip."""

    versions: Iterable[tuple[int, int | None, datetime | None]]
    scopes: Iterable[Any]  # result of `named_root_scopes`
    rooms: Iterable[tuple[UUID, Decimal]]  # remaining monthly budgets, the result of `spending.remaining_budgets`


def load_start_context(
    user: User, workflow: tuple[str, int | None], *, scope_type: str, scope_key: str, now: datetime
) -> StartContext:
    """Load the data for a start. Existence and permissions are checked later.

    Args:
        user: The user who starts the execution.
        workflow: Workflow id and version; None: the current version.
        scope_type: Type of the root scope.
        scope_key: Name of the root scope.
        now: The current time.
    """
    scopes = named_root_scopes(user, scope_type=scope_type, scope_key=scope_key)
    found = StartContext(
        versions=(versions := workflows.wanted_versions(*workflow)),
        scopes=scopes,
        rooms=(rooms := spending.remaining_budgets(scopes.order_by().values("id"), now=now)),
    )
    run_together(versions, scopes, rooms)
    return found


def resolve_workflow(
    workflow_id: str, version: int | None, *, versions: Iterable[tuple[int, int | None, datetime | None]] | None = None
) -> ResolvedWorkflow:
    """Return a workflow version, by default the current one.

    Args:
        workflow_id: The workflow.
        version: Its version.
        versions: The result of `wanted_versions`; queried if None.

    Raises:
        NotFound: there is no such workflow or version.
        WorkflowRetired: the workflow is retired.
    """
    for number, row_id, retired_at in workflows.wanted_versions(workflow_id, version) if versions is None else versions:
        if row_id is None:
            raise NotFound(no_version(workflow_id, number))
        if retired_at is not None:
            raise WorkflowRetired(workflow_id)
        definition = workflows.get_definition(workflow_id, number)
        return ResolvedWorkflow(definition=definition, version=number, row_id=row_id)
    raise NotFound(no_workflow(workflow_id))


def require_brief(definition: WorkflowDefinition, brief: Brief | None) -> None:
    """Reject a brief that the workflow does not accept, and a start without a required brief.

    Raises:
        Invalid: the brief is missing or not accepted; with a pointer to `/input`.
    """
    if brief is None and definition.brief is BriefPolicy.REQUIRED:
        raise _brief_error("required", f"The workflow {definition.id!r} needs a brief.")
    if brief is not None and definition.brief is BriefPolicy.NONE:
        raise _brief_error("not_allowed", f"The workflow {definition.id!r} accepts no brief: omit it.")


def _brief_error(code: str, detail: str) -> Invalid:
    return Invalid(detail, [FieldError(pointer="/input", code=code, detail=detail)])


def check_can_start(
    definition: WorkflowDefinition,
    scope_id: UUID,
    *,
    rooms: Iterable[tuple[UUID, Decimal]],
    brief: Brief | None,
    script: DryRunScript | None,
    now: datetime,
) -> None:
    """Reject a start that could not succeed. `rooms` has the remaining monthly budgets of scopes.

    Raises:
        BudgetExceeded: the scope has used up its monthly budget, and some models of the workflow are not free.
        UnpricedModel: a step's model has no known price, and REQUIRE_PRICED is on; with pointers to the steps.
        Invalid: the brief is missing or not accepted, a step's model has an unknown provider, an input document is
            missing in the scope, or the script does not match the workflow.
    """
    require_brief(definition, brief)
    if script is None:
        _require_providers(definition)
        if (room := dict(rooms).get(scope_id)) is not None:
            _require_scope_budget(definition, room, now)
        _require_prices(definition, now)
    elif faults := list(_script_faults(script, definition)):
        raise Invalid("The rehearsal script does not match the workflow.", faults)
    _require_documents(definition, scope_id)


def _require_providers(definition: WorkflowDefinition) -> None:
    knows = build_ports().models.knows
    unknown = [
        FieldError(
            pointer=pointer("steps", index),
            code="unknown_provider",
            detail=f"Step {definition.steps[index].id!r} may use {model}, whose provider is unknown.",
        )
        for index, model in _models(definition)
        if not knows(model)
    ]
    if unknown:
        raise Invalid("A step uses a model with an unknown provider.", unknown)


def _require_scope_budget(definition: WorkflowDefinition, room: Decimal, now: datetime) -> None:
    if room > 0:
        return
    prices.CONFIGURED.get()
    if not all(prices.is_free(model, at=now) for _, model in _models(definition)):
        raise BudgetExceeded


def _require_prices(definition: WorkflowDefinition, now: datetime) -> None:
    if not settings.REQUIRE_PRICED:
        return
    prices.CONFIGURED.get()
    unpriced = [
        FieldError(
            pointer=pointer("steps", index),
            code="unpriced_model",
            detail=f"Step {definition.steps[index].id!r} may use {model}, which has no known price.",
        )
        for index, model in _models(definition)
        if not prices.is_priced(model, at=now)
    ]
    if unpriced:
        raise UnpricedModel(unpriced)


def _require_documents(definition: WorkflowDefinition, scope_id: UUID) -> None:
    wanted = definition.scope_documents
    there = documents.existing_types(scope_id, wanted) if wanted else frozenset()
    if missing := [kind for kind in wanted if kind not in there]:
        detail = f"The scope needs these documents first: {', '.join(missing)}."
        error = FieldError(pointer="/scope_id", code="missing_document", detail=detail)
        raise Invalid("The workflow cannot start in this scope.", [error])


def _models(definition: WorkflowDefinition) -> list[tuple[int, str]]:
    """Return each pair of a step's index and a `provider:model` that the step may use."""
    resolve = build_ports().models.resolve
    return list(
        dict.fromkeys(
            (index, model)
            for index, step in enumerate(definition.steps)
            for name in step.model_names
            for model in resolve(name)
        )
    )


def _script_faults(script: DryRunScript, definition: WorkflowDefinition) -> Iterator[FieldError]:
    """Yield the errors of a script: entries that do not match the workflow."""
    known = {step.id: step for step in definition.steps}
    for name, each in script.steps.items():
        where = ("rehearsal", "steps", name)
        step = known.get(name)
        if step is None:
            yield FieldError(
                pointer=pointer(*where), code="unknown_step", detail=no_step(definition.id, name, [*known])
            )
            continue
        if each.ask and step.clarification is None:
            yield FieldError(
                pointer=pointer(*where, "ask"), code="may_not_ask", detail="This step has no clarification."
            )
        elif step.clarification is not None and len(each.ask) > step.clarification.max_questions:
            detail = f"This step may ask {step.clarification.max_questions} questions at once."
            yield FieldError(pointer=pointer(*where, "ask"), code="too_many_questions", detail=detail)
        if each.verdicts and step.review is None:
            detail = "This step has no review."
            yield FieldError(pointer=pointer(*where, "verdicts"), code="not_reviewed", detail=detail)
        for fault in question_errors(each.ask):
            place = fault.pointer.removeprefix("/questions")
            yield fault.model_copy(update={"pointer": pointer(*where, "ask") + place})
