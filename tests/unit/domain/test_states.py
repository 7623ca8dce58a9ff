"""Only the transition table permits changes of status."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from uuid_utils.compat import uuid7

from executions.engine.domain.errors import IllegalTransition
from executions.engine.domain.execution import Execution, ScopeRef, step_transition, transition
from executions.engine.domain.states import ENDED, EXECUTION_TRANSITIONS, STEP_TRANSITIONS, ExecutionStatus, StepStatus
from executions.engine.transitions.planner import new_execution, ready_steps
from tests.factories.engine import FORK, LINE

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _execution(status: ExecutionStatus = ExecutionStatus.RUNNING) -> Execution:
    scope = ScopeRef(id=uuid7(), type="project", key="p")
    fresh = new_execution(LINE, execution_id=uuid7(), workflow_version=1, scope=scope, brief="b", now=NOW)
    return replace(fresh, status=status)


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(ExecutionStatus, repeat=2)))
def test_an_execution_moves_as_the_table_says(current: ExecutionStatus, wanted: ExecutionStatus) -> None:
    if wanted in EXECUTION_TRANSITIONS[current]:
        assert transition(_execution(current), wanted, now=NOW).status is wanted
    else:
        with pytest.raises(IllegalTransition):
            transition(_execution(current), wanted, now=NOW)


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(StepStatus, repeat=2)))
def test_a_step_moves_as_the_table_says(current: StepStatus, wanted: StepStatus) -> None:
    execution = _execution()
    execution = execution.with_step(replace(execution.steps["one"], status=current))
    if wanted in STEP_TRANSITIONS[current]:
        moved = step_transition(execution, "one", wanted, now=NOW)
        assert moved.steps["one"].status is wanted
        assert moved.steps["one"].version == execution.steps["one"].version + 1
    else:
        with pytest.raises(IllegalTransition):
            step_transition(execution, "one", wanted, now=NOW)


@pytest.mark.parametrize("status", sorted(ENDED))
def test_nothing_moves_in_an_execution_that_has_ended(status: ExecutionStatus) -> None:
    with pytest.raises(IllegalTransition):
        step_transition(_execution(status), "one", StepStatus.RUNNING, now=NOW)


def test_the_order_follows_from_the_documents() -> None:
    assert FORK.levels == {"left": 0, "right": 0, "join": 1}
    scope = ScopeRef(id=uuid7(), type="project", key="p")
    fresh = new_execution(FORK, execution_id=uuid7(), workflow_version=1, scope=scope, brief="b", now=NOW)
    assert [step.step_id for step in ready_steps(fresh)] == ["left", "right"]
