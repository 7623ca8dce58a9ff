"""When the head of a document is accepted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from executions.engine.domain.acceptance import AcceptanceAction, AcceptanceDecision
from executions.engine.domain.execution import StepOutcome, is_accepted
from executions.engine.domain.states import StepStatus

DONE, OPEN, FAILED = StepStatus.COMPLETED, StepStatus.WAITING, StepStatus.FAILED
ACCEPT, REJECT, ASK = AcceptanceAction.ACCEPT, AcceptanceAction.REJECT, AcceptanceAction.REQUEST_CHANGES


def said(decision: AcceptanceAction, version: int, accepted: int | None = None) -> AcceptanceDecision:
    return AcceptanceDecision(
        decision=decision,
        document_version=version,
        accepted_version=accepted,
        decided_by="ann",
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("status", "version", "decisions", "expected"),
    [
        (DONE, 2, (), True),  # without acceptance
        (DONE, 3, (said(ACCEPT, 2, 3),), True),  # with an edit
        (DONE, 3, (said(ACCEPT, 3),), True),  # edited before, and stored by an earlier release
        (OPEN, 3, (), False),  # edited while it waited
        (OPEN, 2, (), True),  # a person chose a later version
        (OPEN, 3, (said(ASK, 1),), False),
        (StepStatus.CANCELLED, 3, (), False),
        (StepStatus.CANCELLED, 2, (), True),
        (FAILED, 2, (said(REJECT, 2),), True),  # a person has written another one
        (FAILED, 3, (said(REJECT, 3),), False),
        (StepStatus.PENDING, None, (said(ACCEPT, 2, 2),), True),  # run again, and accepted before
        (StepStatus.PENDING, None, (), None),
        (StepStatus.REMEDIATING, 1, (said(ASK, 1),), None),  # an older version
        (OPEN, 5, (said(ACCEPT, 1, 1),), None),  # a later version is only proposed
    ],
)
def test_a_head_is_accepted_if_a_version_since_the_model_is(
    status: StepStatus, version: int | None, decisions: tuple[AcceptanceDecision, ...], expected: bool | None
) -> None:
    maker = StepOutcome(status=status, document_version=version, decisions=decisions)
    assert is_accepted(maker, range(2, 4)) is expected


def test_of_an_execution_that_is_gone_nothing_is_known() -> None:
    assert is_accepted(None, range(2, 4)) is None
