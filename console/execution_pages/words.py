"""Names of statuses and decisions for people, and addresses of pages of steps."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext_lazy

from executions.engine.domain.acceptance import AcceptanceAction
from executions.engine.domain.states import StepStatus

STEP_STATUSES = {
    StepStatus.PENDING: gettext_lazy("not started"),
    StepStatus.RUNNING: gettext_lazy("running"),
    StepStatus.WAITING: gettext_lazy("waiting"),
    StepStatus.REMEDIATING: gettext_lazy("correcting"),
    StepStatus.COMPLETED: gettext_lazy("completed"),
    StepStatus.FAILED: gettext_lazy("failed"),
    StepStatus.CANCELLED: gettext_lazy("cancelled"),
    StepStatus.SKIPPED: gettext_lazy("skipped"),
}
DECIDED = {
    AcceptanceAction.ACCEPT: gettext_lazy("accepted"),
    AcceptanceAction.REJECT: gettext_lazy("rejected"),
    AcceptanceAction.REQUEST_CHANGES: gettext_lazy("sent back"),
}


def status_words(status: str) -> str:
    """Return a status of a step in words."""
    return str(STEP_STATUSES[StepStatus(status)])


def step_address(execution_id: UUID, step_id: str) -> str:
    """Return the address of the page of a step."""
    return reverse("console:execution-step", args=[execution_id, step_id])


def items_address(execution_id: UUID, slug: str) -> str:
    """Return the address of the page of the items of a step."""
    return reverse("console:execution-items", args=[execution_id, slug])
