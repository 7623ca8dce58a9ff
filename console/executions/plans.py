"""What it takes to make a document again: which steps are reused, and what the others are expected to cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync

from access.user import User
from common.database.server import database_now
from executions.engine.domain.execution import slug_of
from executions.engine.estimation import Span, StepForecast
from executions.services import estimates
from executions.services.preflight import resolve_workflow


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
class Plan:
    """What an execution with `reuse: current` would do now."""

    workflow_version: int
    steps: tuple[PlannedStep, ...]
    makes_it: bool  # whether the step of the document itself runs
    cost_usd: Span | None  # None: a model has no known price
    known_cost_usd: Span
    unpriced_models: tuple[str, ...]

    @property
    def reused(self) -> list[PlannedStep]:
        """Steps with documents that are reused."""
        return [each for each in self.steps if each.forecast.reused]

    @property
    def paid(self) -> list[PlannedStep]:
        """Steps that call a model."""
        return [each for each in self.steps if each.is_paid]

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
    plan = async_to_sync(estimates.find_reusable)(**asked, **where)
    found = estimates.estimate(**asked, **where, reuse=plan)
    definition = resolve_workflow(row.workflow_id, found.workflow_version).definition
    names = {step.id: step.name for step in definition.steps}
    steps = tuple(PlannedStep(name=names[each.step_id], forecast=each) for each in found.steps)
    return Plan(
        workflow_version=found.workflow_version,
        steps=steps,
        makes_it=any(each.is_paid and each.forecast.step_id == slug_of(maker.step_id) for each in steps),
        cost_usd=found.cost_usd,
        known_cost_usd=found.known_cost_usd,
        unpriced_models=tuple(found.unpriced_models),
    )
