"""Budgets on real connections: concurrent workers never exceed a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

from django.utils import timezone

from access.user import User
from executions.engine.domain.calls import ModelReply
from executions.engine.domain.execution import Execution, step_transition
from executions.engine.domain.retries import NOT_SENT
from executions.engine.domain.states import CallStatus, ExecutionStatus, StepStatus, WaitingOn
from executions.engine.transitions import budgets, core
from executions.persistence import repositories
from executions.services import budgets as budgeting
from executions.services import executions
from telemetry.models import ModelCall
from telemetry.spending import UsageTotals, execution_usage
from tests.factories.engine import definition
from tests.factories.executions import call, claim, decide, together
from workflows import repository as workflows
from workflows.definitions.definition import WorkflowDefinition

WORKERS = 20
WIDE = definition(*({"id": f"s{number}"} for number in range(WORKERS)))
DIME = Decimal("0.10")


def started(user: User, of: WorkflowDefinition, **limits: object) -> Execution:
    workflows.clear_definitions()
    workflows.publish(of, now=timezone.now())
    execution = executions.start_execution(
        user=user,
        workflow_id=of.id,
        scope_type="project",
        scope_id="p",
        input="A brief.",
        budget=limits,
        now=timezone.now(),
    )
    return claim(execution.id)


def begin_paid(execution: Execution, step_id: str) -> Execution:
    """Begin a step, or go on with it, with a call that may cost a dime."""
    paid = replace(call(execution.id, step_id), estimated_cost_usd=DIME)

    def start(now: Execution, context: core.Context) -> core.Change:
        begun = core.start_step(now, step_id, model="m", input_versions=(), context=context)
        return budgets.hold_if_over_budget(begun, step_id, paid, context=context)

    return decide(execution.id, start, fencing_token=execution.fencing_token, calls=(paid,))


def by_status(execution: Execution) -> dict[str, int]:
    statuses = [step.status.value for step in execution.steps.values()]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def test_twenty_calls_of_a_dime_at_once_never_pass_a_dollar(ann: User) -> None:
    execution = started(ann, WIDE, max_cost_usd=Decimal("1.00"))
    asked: list[Callable[[], object]] = [partial(begin_paid, execution, f"s{number}") for number in range(WORKERS)]
    assert all(isinstance(outcome, Execution) for outcome in together(*asked))
    stored = repositories.get(execution.id)
    assert by_status(stored) == {"running": 10, "waiting": 10}
    assert ModelCall.objects.count() == 10
    assert execution_usage(execution.id, withdrawn=NOT_SENT) == UsageTotals(cost_usd=Decimal("1.00"), calls=10)
    # Those that were made are as dear as they might be; then the execution waits for more money.
    for step in stored.steps.values():
        if step.status is StepStatus.RUNNING:
            reply = ModelReply(provider="p", model="m", cost_usd=DIME)
            known = replace(call(execution.id, step.step_id), status=CallStatus.COMMITTED, reply=reply)
            skip = partial(_end, step_id=step.step_id)
            stored = decide(execution.id, skip, fencing_token=execution.fencing_token, calls=(known,))
    assert stored.status is ExecutionStatus.RUNNING  # what was reserved might be free again: they ask once more
    again = [partial(begin_paid_again, stored, step.step_id) for step in stored.steps.values() if not step.finished_at]
    together(*again)
    stored = repositories.get(execution.id)
    assert (stored.status, stored.waiting_on) == (ExecutionStatus.WAITING, (WaitingOn.BUDGET,))
    raised = budgeting.change_budget(
        user=ann, execution_id=execution.id, limits={"max_cost_usd": Decimal(2)}, now=timezone.now()
    )
    assert (raised.status, by_status(raised)["pending"]) == (ExecutionStatus.RUNNING, 10)
    claimed = claim(execution.id)
    together(*(partial(begin_paid_again, claimed, step.step_id) for step in claimed.steps.values()))
    assert execution_usage(execution.id, withdrawn=NOT_SENT) == UsageTotals(cost_usd=Decimal("2.00"), calls=20)


def begin_paid_again(execution: Execution, step_id: str) -> Execution:
    """Go on with a step that has waited for a budget."""
    paid = replace(call(execution.id, step_id), estimated_cost_usd=DIME)

    def start(now: Execution, context: core.Context) -> core.Change:
        running = step_transition(now, step_id, StepStatus.RUNNING, now=context.now)
        return budgets.hold_if_over_budget(core.Change(execution=running), step_id, paid, context=context)

    return decide(execution.id, start, fencing_token=execution.fencing_token, calls=(paid,))


def _end(execution: Execution, context: core.Context, *, step_id: str) -> core.Change:
    ended = step_transition(execution, step_id, StepStatus.COMPLETED, now=context.now)
    return core.derive_status(core.Change(execution=ended), context)


def test_what_a_budget_is_is_stored_with_its_warnings_and_the_time_that_was_run(ann: User) -> None:
    execution = started(ann, WIDE, max_cost_usd=DIME, max_seconds=60)
    begun = begin_paid(execution, "s0")
    assert begun.budget is not None
    assert (begun.budget.max_cost_usd, begun.budget.max_seconds, begun.warned_limits) == (DIME, 60, ("max_cost_usd",))
    stored = repositories.get(execution.id)
    assert stored == begun
    assert stored.running_since is not None
    held = begin_paid(stored, "s1")
    assert repositories.get(execution.id).steps["s1"] == held.steps["s1"]
    assert held.steps["s1"].blocked_by_limit == "max_cost_usd"


def test_a_workflows_budget_counts_unless_a_start_says_otherwise(ann: User) -> None:
    frugal = definition({"id": "one"}, budget={"max_calls": 5, "max_cost_usd": "0.5"})
    assert started(ann, frugal).budget == frugal.budget
    other = started(ann, frugal, max_calls=None, max_tokens=100)
    assert other.budget is not None
    assert other.budget.model_dump() == {
        "max_cost_usd": Decimal("0.5"),
        "max_tokens": 100,
        "max_calls": None,
        "max_seconds": None,
    }
    assert started(ann, definition({"id": "one"})).budget is None
