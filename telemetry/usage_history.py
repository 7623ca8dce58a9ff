"""Usage of a workflow's steps in earlier executions, for estimates."""

from __future__ import annotations

from typing import TypedDict

from django.db.models import CharField, Count, F, Func, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat

from telemetry.models import CallStatus, ModelCall
from telemetry.percentiles import Percentile


class StepHistory(TypedDict):
    """Usage of one step, over all selected executions."""

    executions: int
    calls: float  # per item; a step without `for_each` has one item
    items: float  # per execution
    output_low: int  # output tokens of a call, 10th percentile
    output_likely: int  # 50th percentile


def step_histories(*, execution_ids: RawSQL, excluded_providers: frozenset[str]) -> dict[str, StepHistory]:
    """Return the usage of a workflow's steps, by step id, in executions of the workflow.

    Reviews are omitted, and so are calls to the excluded providers, which differ from real calls.
    """
    rows = ModelCall.objects.filter(execution_id__in=execution_ids, status=CallStatus.COMMITTED).exclude(kind="review")
    slug = Func(F("step_id"), Value("@"), Value(1), function="split_part", output_field=CharField())
    run = Concat(Cast("execution_id", CharField()), Value("/"), "step_id")
    found = (
        rows.exclude(provider__in=excluded_providers)
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
        row["slug"]: StepHistory(
            executions=row["executions"],
            calls=row["number"] / row["runs"],
            items=row["runs"] / row["executions"],
            output_low=row["low"],
            output_likely=row["likely"],
        )
        for row in found
    }
