"""Executions with progress, cost, and what the caller may do, as responses contain them.

The caller may do what both state and role permit. Commands decide by the same parts: `NEEDED_ROLE`, `CANCELLABLE`,
`RETRIABLE` and `waits_for`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from access.permissions import NEEDED_ROLE, Action, Role, permitted
from access.selectors import Person, effective_roles, limits_of, roles_among
from common.database.bulk import Query, SqlQuery
from common.database.compiled_queries import CompiledQuery, compiled
from common.database.server import database_now
from executions import models
from executions.engine.domain.execution import Execution
from executions.engine.domain.retries import NOT_SENT
from executions.engine.domain.states import CANCELLABLE, ENDED, RETRIABLE, ExecutionStatus, StepStatus, WaitingOn
from executions.engine.domain.users import UserRef
from executions.engine.domain.waits import Wait
from executions.engine.transitions import budgets
from telemetry import selectors as telemetry
from telemetry import spending
from workflows.definitions.budget import Budget

REHEARSAL = "rehearsal"  # provider of the simulated models, which cost nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDetails:
    """An execution with its progress and its cost so far."""

    execution: models.Execution | Execution  # a row, or the engine value that was just stored
    workflow_version: int
    done_steps: int
    total_steps: int
    failure_code: str
    failure_message: str
    spent: telemetry.Totals
    rehearsal: bool  # the simulated model has worked on it
    may: Sequence[Action]  # what the caller may do with it now
    use: BudgetUse | None  # budget usage; None: no budget


@compiled
def _counts(*execution_ids: UUID) -> QuerySet[Any, Any]:
    """Return the query for the steps of executions: completed, all, with open questions, with documents to decide."""
    steps = models.ExecutionStep.objects.filter(execution_id__in=execution_ids).values_list("execution_id")
    waiting = Q(status=StepStatus.WAITING.value, asked_at=None, resume_at=None, blocked_by_limit="")
    counted = steps.annotate(
        done=Count("id", filter=Q(status=StepStatus.COMPLETED.value)),
        total=Count("id"),
        asking=Count("id", filter=Q(asked_at__isnull=False)),
        deciding=Count("id", filter=waiting & Q(document_id__isnull=False)),
    )
    return counted.order_by("execution_id")


@compiled
def roles_in_execution(user_id: int, execution_id: UUID) -> QuerySet[Any, Any]:
    """Return the query for the user's role in the root scope of an execution, as `roles_in` does."""
    return roles_among(user_id, models.Execution.objects.filter(id=execution_id).values("scope_id"))


class DetailQueries:
    """Queries for progress and cost of executions, beside their rows."""

    def __init__(
        self,
        execution_ids: Collection[UUID],
        *,
        limited: Collection[UUID],
        user: Person,
        roles: CompiledQuery[tuple[UUID, str]],
    ) -> None:
        """Prepare the queries.

        `limited` are the executions that may have a budget, `roles` the query for the user's roles in the root scopes
        of all. Without executions nothing is queried.
        """
        self._counts = _counts(*execution_ids)
        self._sums = telemetry.sums_query(*execution_ids)
        self._models = telemetry.requested_models(*execution_ids)
        self._spent = usage_query(limited)
        self._user, self._roles = user, roles
        self.questions: list[Query] = [self._roles]
        if execution_ids:
            self.questions += [self._counts, self._sums, self._models]
        if limited:
            self.questions.append(self._spent)

    def of(self, rows: Sequence[models.Execution]) -> list[ExecutionDetails]:
        """Return executions with their query results."""
        counts = {execution_id: counted for execution_id, *counted in self._counts}
        roles = effective_roles(self._user, {row.scope_id for row in rows}, self._roles)
        return [
            ExecutionDetails(
                execution=row,
                workflow_version=row.workflow_version.version,
                done_steps=counts[row.id][0],
                total_steps=counts[row.id][1],
                failure_code=row.failure_code,
                failure_message=row.failure_message,
                may=permitted(
                    roles.get(row.scope_id),
                    possible_in_execution(
                        row.status,
                        asks=bool(counts[row.id][2]),
                        awaits_decision=bool(counts[row.id][3]),
                        is_erased=row.erased_at is not None,
                    ),
                    limits=limits_of(self._user),
                ),
                **costs,
            )
            for row, costs in zip(rows, self._costs(rows), strict=True)
        ]

    def of_value(self, value: Execution) -> ExecutionDetails:
        """Return an execution given as engine value, with its query results."""
        [costs] = self._costs([value])
        role = effective_roles(self._user, [value.scope.id], self._roles).get(value.scope.id)
        return _value_details(value, role, user=self._user, **costs)

    def _costs(self, executions: Sequence[models.Execution | Execution]) -> list[dict[str, Any]]:
        spent, providers = telemetry.totals_by_execution(self._sums), telemetry.providers_of(self._models)
        usages = usage_by_execution(executions, self._spent.rows, now=database_now())
        return [
            {
                "spent": spent.get(execution.id, telemetry.Totals()),
                "rehearsal": REHEARSAL in providers.get(execution.id, ()),
                "use": usages.get(execution.id),
            }
            for execution in executions
        ]


def new_details(value: Execution, *, user: Person) -> ExecutionDetails:
    """Return an execution that the user has just started, without a query: it has no calls, and the role is known."""
    use = usage_by_execution([value], (), now=value.created_at).get(value.id)
    role = NEEDED_ROLE[Action.START]
    return _value_details(value, role, user=user, spent=telemetry.Totals(), rehearsal=False, use=use)


def _value_details(value: Execution, role: Role | None, *, user: Person, **costs: Any) -> ExecutionDetails:
    return ExecutionDetails(
        execution=value,
        workflow_version=value.workflow_version,
        done_steps=value.done_steps,
        total_steps=len(value.steps),
        failure_code=value.failure.code if value.failure else "",
        failure_message=value.failure.message if value.failure else "",
        may=permitted(role, possible_in_value(value), limits=limits_of(user)),
        **costs,
    )


class HasBudget(budgets.HasRunTime, Protocol):
    """An execution with a budget, as an engine value or as a database row."""

    @property
    def id(self) -> UUID:
        """The execution's id."""

    @property
    def budget(self) -> Any:
        """The limits, None if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """A budget and its usage. Calls with an unknown outcome count with their maximum."""

    budget: Budget
    spent: spending.UsageTotals
    seconds: float

    @property
    def tokens(self) -> int:
        """Tokens of all buckets."""
        return self.spent.tokens

    @property
    def calls(self) -> int:
        """Number of calls, each try counted."""
        return self.spent.calls

    @property
    def known_cost_usd(self) -> Decimal:
        """US dollars, without calls that have no known price."""
        return self.spent.cost_usd

    @property
    def cost_complete(self) -> bool:
        """Whether all calls have a known price."""
        return not self.spent.unpriced_calls

    @property
    def cost_usd(self) -> Decimal | None:
        """US dollars; None if the cost of a call is unknown."""
        return self.spent.cost_usd if self.cost_complete else None


def usage_query(execution_ids: Iterable[UUID]) -> SqlQuery:
    """Return the query for the budget usage of executions; `usage_by_execution` takes its rows."""
    return spending.usage_query(execution_ids, withdrawn=NOT_SENT)


def usage_by_execution(
    executions: Iterable[HasBudget], spent_rows: Iterable[tuple[Any, ...]], *, now: datetime
) -> dict[UUID, BudgetUse]:
    """Return the budget usage by execution id, without executions that have no budget."""
    limited = {each.id: each for each in executions if each.budget is not None}
    spent = spending.usage_by_execution(spent_rows)
    return {
        identity: BudgetUse(
            budget=Budget.model_validate(each.budget),
            spent=spent.get(identity, spending.UsageTotals()),
            seconds=budgets.running_seconds(each, now),
        )
        for identity, each in limited.items()
    }


# --- what state and approvers permit ----------------------------------------------------------------------------------


def waits_for_decision(row: models.ExecutionStep) -> bool:
    """Return whether the document of a step waits for a person's decision, and for nothing else."""
    waits_for_more = row.asked_at is not None or row.resume_at is not None or row.blocked_by_limit != ""
    return row.status == StepStatus.WAITING.value and row.document_id is not None and not waits_for_more


def possible_in_execution(status: str, *, asks: bool, awaits_decision: bool, is_erased: bool) -> set[Action]:
    """Return what the state of an execution permits.

    Args:
        status: The status of the execution.
        asks: Whether a step has open questions.
        awaits_decision: Whether the document of a step waits for a decision.
        is_erased: Whether its contents were erased.
    """
    is_open = status not in ENDED
    permitted = {
        Action.ANSWER: is_open and asks,
        Action.DECIDE: is_open and awaits_decision,
        Action.CANCEL: status in CANCELLABLE,
        Action.RETRY: status in RETRIABLE and not is_erased,
        Action.BUDGET: is_open,
        Action.ERASE: not is_open and not is_erased,
    }
    return {action for action, is_permitted in permitted.items() if is_permitted}


def possible_in_value(execution: Execution) -> set[Action]:
    """Return what the state of an execution permits that is given as engine value."""
    waits = {step.waits_for for step in execution.steps.values()}
    return possible_in_execution(
        execution.status,
        asks=WaitingOn.CLARIFICATION in waits,
        awaits_decision=WaitingOn.ACCEPTANCE in waits,
        is_erased=execution.erased_at is not None,
    )


def possible_in_step(row: models.ExecutionStep, user: Person) -> set[Action]:
    """Return what the state and the approvers of a step permit the user; the row is joined with its execution."""
    if ExecutionStatus(row.execution.status) in ENDED:
        return set()
    if row.asked_at is not None:
        return {Action.ANSWER}
    return {Action.DECIDE} if waits_for_decision(row) and not refusal_of_vote(row, user) else set()


def refusal_of_vote(row: models.ExecutionStep, user: Person) -> str:
    """Return why the approvers of a step exclude the user; empty if they do not. The row is joined as above."""
    if row.wait is None:
        return ""
    starter = UserRef(name=row.execution.requested_by_name, id=row.execution.requested_by_id)
    return Wait.model_validate(row.wait).refusal(UserRef(name=user.get_username(), id=user.pk), starter=starter)
