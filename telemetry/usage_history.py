"""What the steps of a workflow took in earlier executions."""

from __future__ import annotations

from typing import TypedDict

from django.db.models import CharField, Count, F, Func, Value
from django.db.models.functions import Cast, Concat

from access.selectors import Person, visible_scopes
from telemetry.models import CallStatus, ModelCall
from telemetry.percentiles import Percentile


class PastStep(TypedDict):
    """What one step took, over all executions that were looked at."""

    executions: int
    calls: float  # for one item, or for the only one
    items: float  # in one execution
    output_low: int  # tokens of a call, at the 10th percentile
    output_likely: int  # at the 50th


def past_of(*, user: Person, workflow_id: str, but: frozenset[str]) -> dict[str, PastStep]:
    """Return what the user's executions of a workflow took, by the step's id.

    Reviews are left out, and calls to the providers `but`, which are not what a real run is like.
    """
    rows = ModelCall.objects.filter(
        workflow_id=workflow_id, scope__in=visible_scopes(user), status=CallStatus.COMMITTED
    ).exclude(kind="review")
    slug = Func(F("step_id"), Value("@"), Value(1), function="split_part", output_field=CharField())
    run = Concat(Cast("execution_id", CharField()), Value("/"), "step_id")
    found = (
        rows.exclude(provider__in=but)
        .order_by()
        .annotate(slug=slug)
        .values("slug")
        .annotate(
            executions=Count("execution_id", distinct=True),
            runs=Count(run, distinct=True),
            number=Count("id"),
            low=Percentile("output_tokens", fraction=0.1),
            likely=Percentile("output_tokens", fraction=0.5),
        )
    )
    return {
        row["slug"]: PastStep(
            executions=row["executions"],
            calls=row["number"] / row["runs"],
            items=row["runs"] / row["executions"],
            output_low=row["low"],
            output_likely=row["likely"],
        )
        for row in found
    }
