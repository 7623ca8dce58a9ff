"""What it takes to make a document again: which steps are reused, and what the others are expected to cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync

from access.user import User
from common.canonical_json import digest
from common.database.server import database_now
from documents import selectors as documents
from executions.engine.domain.execution import slug_of
from executions.engine.estimation import Span, StepForecast
from executions.selectors.staleness import open_makers
from executions.services import estimates
from executions.services.preflight import resolve_workflow
from workflows.definitions.budget import Budget, merge_limits
from workflows.definitions.definition import WorkflowDefinition

MAX_EDITS = 50  # on the page
MAX_OPEN = 10  # executions on the page


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """A step of the workflow, and what is expected of it."""

    name: str
    forecast: StepForecast

    @property
    def is_paid(self) -> bool:
        """Whether it calls a model."""
        return self.forecast.calls.high > 0

    @property
    def calls(self) -> int:
        """The expected number of its calls; at least one."""
        return max(round(self.forecast.calls.likely), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A document whose present version a person made, and whose step runs."""

    document_id: UUID
    title: str
    item: str  # key of the item's scope; empty: the scope of the execution
    version: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an execution with `reuse: current` would do now."""

    workflow_version: int
    steps: tuple[PlannedStep, ...]
    makes_it: bool  # whether the step of the document itself runs
    has_step: bool  # whether the workflow still makes the document
    is_of_item: bool  # whether the document belongs to one item of many
    open: tuple[Any, ...]  # executions that make the document, too, and have not ended
    edited: tuple[Edited, ...]  # are replaced
    limits: Budget | None  # that the execution gets
    reused_documents: Mapping[UUID, int]  # their versions
    cost_usd: Span | None  # None: a model has no known price
    known_cost_usd: Span
    unpriced_models: tuple[str, ...]

    @property
    def key(self) -> str:
        """The hash of all that a person who starts it relies on, without expected costs."""
        return digest(
            [
                [self.workflow_version, None if self.limits is None else self.limits.model_dump(mode="json")],
                [[each.forecast.step_id, each.forecast.reused, each.is_paid] for each in self.steps],
                {str(each): version for each, version in self.reused_documents.items()},
                [[str(each.document_id), each.version] for each in self.edited],
                [str(each.id) for each in self.open],
            ]
        )

    @property
    def reused(self) -> list[PlannedStep]:
        """Steps with documents that are reused."""
        return [each for each in self.steps if each.forecast.reused]

    @property
    def paid(self) -> list[PlannedStep]:
        """Steps that call a model."""
        return [each for each in self.steps if each.is_paid]

    @property
    def shown_edits(self) -> tuple[Edited, ...]:
        """The first of the edited documents."""
        return self.edited[:MAX_EDITS]

    @property
    def more_edits(self) -> int:
        """How many edited documents are not shown."""
        return len(self.edited) - len(self.shown_edits)

    @property
    def has_range(self) -> bool:
        """Whether the cost may differ from what is expected."""
        span = self.known_cost_usd
        return span.high > Decimal(0) and span.low != span.high


def plan_again(user: User, maker: Any) -> Plan:
    """Return what it takes to make the document of a step again: the same workflow, scope and brief.

    `maker` is the step, joined with its execution and the execution's scope.

    Raises:
        NotFound: the workflow is not there any more.
        Gone: the workflow is retired.
        ScopeForbidden: the user may not start executions in the scope.
        Invalid: a file of the brief cannot be used any more.
    """
    row = maker.execution
    asked: dict[str, Any] = {"user": user, "workflow_id": row.workflow_id, "now": database_now(), "input": row.input}
    where = {"scope_type": row.scope.type, "scope_id": row.scope.key}
    reusable = async_to_sync(estimates.find_reusable)(**asked, **where)
    found = estimates.estimate(**asked, **where, reuse=reusable)
    definition = resolve_workflow(row.workflow_id, found.workflow_version).definition
    names = {step.id: step.name for step in definition.steps}
    steps = tuple(PlannedStep(name=names[each.step_id], forecast=each) for each in found.steps)
    own = _own_step(definition, maker)
    return Plan(
        workflow_version=found.workflow_version,
        steps=steps,
        edited=tuple(_edited(definition, row.scope, steps, reused=reusable.documents)),
        limits=merge_limits(definition.budget, row.budget),
        makes_it=any(each.is_paid and each.forecast.step_id == own for each in steps),
        has_step=own is not None,
        is_of_item=slug_of(maker.step_id) != maker.step_id,
        open=tuple(open_makers(maker, limit=MAX_OPEN)),
        reused_documents=reusable.documents,
        cost_usd=found.cost_usd,
        known_cost_usd=found.known_cost_usd,
        unpriced_models=tuple(found.unpriced_models),
    )


def _own_step(definition: WorkflowDefinition, maker: Any) -> str | None:
    """Return the id of the step that makes what `maker` has made, once or for an item; None: there is none any more."""
    step = definition.producers.get(maker.produces)
    is_of_item = slug_of(maker.step_id) != maker.step_id
    return None if step is None or bool(definition.loops[step.id]) != is_of_item else step.id


def _edited(
    definition: WorkflowDefinition, scope: Any, steps: Iterable[PlannedStep], *, reused: Collection[UUID]
) -> Iterator[Edited]:
    """Yield the documents that people have edited and that the steps which run make anew."""
    paid = {each.forecast.step_id for each in steps if each.is_paid}
    over_items = {each.produces: bool(definition.loops[each.id]) for each in definition.steps if each.id in paid}
    for head in documents.edited_heads(scope.id, over_items.keys()):
        is_of_item = head.scope_id != scope.id
        if head.id not in reused and is_of_item == over_items[head.type]:
            yield Edited(
                document_id=head.id,
                title=head.title,
                item=head.scope.key if is_of_item else "",
                version=head.version,
                by=head.author_name,
            )
