"""Hard budgets. A call is recorded only if its maximum cost fits into the budget beside the usage and reservations.

The check and the record of the call are one transition. The journal stores it only if the execution and its calls are
unchanged since the check, so workers cannot exceed the budget together. A finished call counts with its usage. A call
that is under way or has an unknown outcome counts with its maximum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from executions.engine.domain.budget_usage import BudgetUsage, usage_of
from executions.engine.domain.calls import Call
from executions.engine.domain.copying import replace
from executions.engine.domain.errors import IllegalTransition, NotWaiting
from executions.engine.domain.events import BudgetChanged, BudgetWarning, Event, money
from executions.engine.domain.execution import Execution, step_transition
from executions.engine.domain.states import ExecutionStatus, Limit, StepStatus
from executions.engine.transitions.core import Change, Context, derive_status, resume, unblock_budget
from workflows.definitions.budget import Budget

WARNING_SHARE = Decimal("0.8")  # share of a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One limit, its usage, and what the next call needs at most."""

    limit: Limit
    most: Decimal
    used: Decimal
    needed: Decimal

    @property
    def is_short(self) -> bool:
        """Whether the call does not fit.

        A free call always fits; the time limit is exceeded only when it is used up.
        """
        if self.limit is Limit.SECONDS:
            return self.used >= self.most
        return self.needed > 0 and self.used + self.needed > self.most

    @property
    def is_near(self) -> bool:
        """Whether usage and reservations have reached the share at which people are warned."""
        if self.limit is Limit.SCOPE_MONTH:
            return False  # this limit does not belong to the execution
        return self.used + self.needed >= WARNING_SHARE * self.most and self.most > 0


class HasRunTime(Protocol):
    """The run time fields of an execution, as an engine value or as a database row."""

    @property
    def ran_seconds(self) -> float:
        """Run time before `running_since`."""

    @property
    def running_since(self) -> datetime | None:
        """Start of the current run; None while it is not running."""


def running_seconds(execution: HasRunTime, now: datetime) -> float:
    """Return how long the execution has been running; waiting does not count."""
    since = execution.running_since
    return execution.ran_seconds + (0.0 if since is None else max(0.0, (now - since).total_seconds()))


def seconds_for_a_call(execution: Execution, wanted: int, now: datetime) -> int:
    """Return the time limit of a call: `wanted`, but at most what the budget leaves, and at least 1."""
    budget = execution.budget
    if budget is None or budget.max_seconds is None:
        return wanted
    return max(1, min(wanted, math.ceil(budget.max_seconds - running_seconds(execution, now))))


def _lines(execution: Execution, need: BudgetUsage, context: Context) -> list[_Line]:
    room = context.scope_room()
    scope = [] if room is None else [_Line(limit=Limit.SCOPE_MONTH, most=room, used=Decimal(0), needed=need.cost_usd)]
    return [*_execution_limits(execution, need, context), *scope]


def _execution_limits(execution: Execution, need: BudgetUsage, context: Context) -> list[_Line]:
    budget = execution.budget
    if budget is None or not budget.has_limits:
        return []
    spent = context.spent()
    seconds = Decimal(str(running_seconds(execution, context.now)))
    pairs: list[tuple[Limit, Decimal | float | None, Decimal, Decimal]] = [
        (Limit.COST, budget.max_cost_usd, spent.cost_usd, need.cost_usd),
        (Limit.TOKENS, budget.max_tokens, Decimal(spent.tokens), Decimal(need.tokens)),
        (Limit.CALLS, budget.max_calls, Decimal(spent.calls), Decimal(need.calls)),
        (Limit.SECONDS, budget.max_seconds, seconds, Decimal(0)),
    ]
    return [
        _Line(limit=limit, most=Decimal(str(most)), used=used, needed=needed)
        for limit, most, used, needed in pairs
        if most is not None
    ]


def _blocking_limit(execution: Execution, calls: Iterable[Call], lines: Sequence[_Line]) -> Limit | None:
    if any(call.estimated_cost_usd is None for call in calls):
        # A call without a known price fits into no cost limit.
        unknown = next((line.limit for line in lines if line.limit in {Limit.COST, Limit.SCOPE_MONTH}), None)
        if unknown is not None:
            return unknown
    return next((line.limit for line in lines if line.is_short), None)


def hold_if_over_budget(
    change: Change, step_id: str, call: Call, *, context: Context, other_calls: Sequence[Call] = ()
) -> Change:
    """Return the change if its next call fits into the budget; else the change that blocks the step.

    Args:
        change: A change in which the step is working.
        step_id: The step.
        call: The step's call, which the change records.
        context: The budget usage so far.
        other_calls: Other calls that the same transition records.
    """
    execution = change.execution
    lines = _lines(execution, usage_of((*other_calls, call)), context)
    if not lines:
        return change
    limit = _blocking_limit(execution, (call,), lines)
    if limit is None:
        return _warned(change, lines)
    waiting = step_transition(execution, step_id, StepStatus.WAITING, now=context.now)
    needs = call.estimated_cost_usd
    step = replace(waiting.steps[step_id], blocked_by_limit=limit, required_usd=needs, resume_at=context.now)
    calls = tuple(each for each in change.calls if each.key != call.key)
    held = replace(change, execution=waiting.with_step(step), calls=calls, budget_blocked=True)
    return derive_status(held, context)


def _warned(change: Change, lines: Sequence[_Line]) -> Change:
    known = change.execution.warned_limits
    near = [line for line in lines if line.is_near and line.limit not in known]
    if not near:
        return change
    events: list[Event] = [
        BudgetWarning(limit=line.limit, used=_shown(line, line.used + line.needed), maximum=_shown(line, line.most))
        for line in near
    ]
    execution = replace(change.execution, warned_limits=(*known, *(line.limit for line in near)))
    return replace(change, execution=execution, events=(*change.events, *events))


def _shown(line: _Line, amount: Decimal) -> str | float:
    if line.limit is Limit.COST:
        return money(amount) or ""
    return float(amount) if line.limit is Limit.SECONDS else int(amount)


def change_budget(execution: Execution, budget: Budget | None, *, changed_by: str, context: Context) -> Change:
    """Change an execution's budget. The steps that were blocked by it try again.

    Raises:
        IllegalTransition: the execution has ended.
    """
    if execution.ended:
        raise IllegalTransition("The execution", current=execution.status, wanted=ExecutionStatus.RUNNING)
    shown = None if budget is None else budget.model_dump(mode="json")
    execution = replace(execution, budget=budget, warned_limits=(), updated_at=context.now)
    change = Change(execution=execution, events=(BudgetChanged(budget=shown, changed_by=changed_by),))
    if any(step.blocked_by_limit for step in execution.steps.values()):
        change = resume(replace(change, execution=unblock_budget(execution, context)), context)
    return change


def resume_scope_blocked(execution: Execution, *, context: Context) -> Change:
    """Let the steps try again that were blocked by their scope's monthly budget.

    Raises:
        NotWaiting: no step is blocked by it.
    """
    if not any(step.blocked_by_limit is Limit.SCOPE_MONTH for step in execution.steps.values()):
        raise NotWaiting("No step is blocked by its scope's budget.", status=execution.status)
    return resume(Change(execution=unblock_budget(execution, context)), context)
