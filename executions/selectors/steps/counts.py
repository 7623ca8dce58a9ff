"""How many steps of an execution are in which state, by the step of the definition. Permissions are not checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from executions import models
from executions.engine.domain.states import StepStatus

#: Statuses, the most notable first: the first one that occurs among the items of a step is that of the step.
NOTABLE = (
    StepStatus.FAILED,
    StepStatus.WAITING,
    StepStatus.REMEDIATING,
    StepStatus.RUNNING,
    StepStatus.PENDING,
    StepStatus.CANCELLED,
    StepStatus.SKIPPED,
    StepStatus.COMPLETED,
)
_WAITING = Q(status=StepStatus.WAITING.value)
_DECIDES = _WAITING & Q(asked_at=None, resume_at=None, blocked_by_limit="", document_id__isnull=False)


@dataclass(slots=True)
class StepCounts:
    """The items of one step of the definition, or the step itself, which counts once."""

    by_status: Counter[str] = field(default_factory=Counter)
    asking: int = 0  # with open questions
    deciding: int = 0  # with a document that waits for a decision
    blocked: int = 0  # by a limit

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.by_status.values())

    @property
    def done(self) -> int:
        """Those with a final document."""
        return self.by_status[StepStatus.COMPLETED]

    @property
    def waiting(self) -> int:
        """Those that wait."""
        return self.by_status[StepStatus.WAITING]

    @property
    def status(self) -> StepStatus:
        """The most notable status; pending without any items."""
        return next((each for each in NOTABLE if self.by_status[each]), StepStatus.PENDING)


def counts_of(execution_id: UUID) -> dict[int, StepCounts]:
    """Return the counts by the position of a step in the definition, by one query for any number of items."""
    rows = models.ExecutionStep.objects.filter(execution_id=execution_id).order_by()
    counted = rows.values("position", "status").annotate(
        number=Count("id"),
        asking=Count("id", filter=_WAITING & Q(asked_at__isnull=False)),
        deciding=Count("id", filter=_DECIDES),
        blocked=Count("id", filter=~Q(blocked_by_limit="")),
    )
    return _added(counted)


def _added(counted: Iterable[Mapping[str, Any]]) -> dict[int, StepCounts]:
    found: dict[int, StepCounts] = defaultdict(StepCounts)
    for row in counted:
        each = found[row["position"]]
        each.by_status[row["status"]] += row["number"]
        for name in ("asking", "deciding", "blocked"):
            setattr(each, name, getattr(each, name) + row[name])
    return dict(found)
