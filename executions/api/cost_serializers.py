"""Serializers of costs and workflow statistics."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.serializers import MoneyField, StrictSerializer, TimestampField, represent, represent_all
from documents.serializers import ChangeCounts
from executions.api.serializers import values
from executions.engine.domain.states import CallKind, CallStatus, ExecutionStatus, StepStatus
from telemetry.serializers import TotalsSerializer


class StepCost(serializers.Serializer[Any]):
    """One model call with its usage and cost."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=values(CallKind))
    ordinal = serializers.IntegerField(help_text="Number of the try within the attempt, from 1.")
    status = serializers.ChoiceField(choices=values(CallStatus))
    provider = serializers.CharField(help_text="Empty until there is a reply.")
    model = serializers.CharField(help_text="The provider's name of the model; empty until there is a reply.")
    requested_model = serializers.CharField(help_text="The requested `provider:model`.")
    input_tokens = serializers.IntegerField(help_text="Without cached tokens.")
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField(help_text="A part of `output_tokens`.")
    total_tokens = serializers.SerializerMethodField()
    cost_usd = MoneyField(allow_null=True)
    estimated_cost_usd = MoneyField(
        allow_null=True,
        help_text="Maximum cost while there is no reply; null: the cost is known, or the model has no price.",
    )
    latency_ms = serializers.IntegerField(allow_null=True)
    started_at = TimestampField()
    finished_at = TimestampField(allow_null=True)
    error = serializers.CharField(help_text="Empty if the call succeeded.")

    def get_total_tokens(self, call: Any) -> int:
        """Return all tokens of the call, each counted once."""
        total: int = (
            call.input_tokens + call.cache_read_input_tokens + call.cache_write_input_tokens + call.output_tokens
        )
        return total


class AttemptCosts(serializers.Serializer[Any]):
    """The calls of one attempt of a step, oldest first."""

    attempt = serializers.IntegerField()
    calls = StepCost(many=True)


class StepCosts(TotalsSerializer):
    """The cost of a step, call by call."""

    step_id = serializers.CharField()
    attempts = AttemptCosts(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return step id, totals and attempts in one object."""
        attempts = represent_all(AttemptCosts, instance.attempts)
        return {"step_id": instance.step_id, **represent(TotalsSerializer, instance.totals), "attempts": attempts}


class ExecutionCosts(serializers.Serializer[Any]):
    """The cost of an execution: `total` is the sum of `steps`."""

    execution_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=values(ExecutionStatus))
    total = TotalsSerializer()
    estimated_unknown_cost_usd = MoneyField(
        allow_null=True,
        help_text="Maximum cost of calls without a reply, beside the known cost. null: one has no known price.",
    )
    steps = StepCosts(many=True)


class SecondsPercentiles(serializers.Serializer[Any]):
    """Median and 95th percentile of durations in seconds; null without values."""

    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)


class CostPercentiles(serializers.Serializer[Any]):
    """Median and 95th percentile of costs; null without values."""

    p50 = MoneyField(allow_null=True)
    p95 = MoneyField(allow_null=True)


class WorkflowStats(serializers.Serializer[Any]):
    """Statistics of a workflow's executions that the caller may see.

    Durations are those of completed executions. Percentiles are those of the newest 1,000 executions.
    """

    workflow_id = serializers.CharField()
    executions = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField(), help_text="Executions by status.")
    success_rate = serializers.FloatField(
        allow_null=True, help_text="Completed executions as a share of completed and failed ones; null without any."
    )
    remediation_rate = serializers.FloatField(
        allow_null=True, help_text="Share of steps whose output had to be corrected, among all that called a model."
    )
    duration_seconds = SecondsPercentiles(help_text="From creation to the end.")
    waiting_seconds = SecondsPercentiles(
        help_text="Part of the duration since the first start: waiting for people, a time or a budget."
    )
    running_seconds = SecondsPercentiles(help_text="Part of the duration in which it ran.")
    cost_usd = CostPercentiles(help_text="Per execution, over executions whose cost is completely known.")
    totals = TotalsSerializer(help_text="Over all executions, including those that have not ended.")


class CompareFilters(StrictSerializer):
    """The two executions to compare."""

    page_parameters = frozenset()  # no pages

    a = serializers.UUIDField(help_text="Id of an execution.")
    b = serializers.UUIDField(help_text="Id of another execution; changes lead from `a` to it.")


class ComparedExecution(serializers.Serializer[Any]):
    """One of the two executions."""

    execution_id = serializers.UUIDField(source="execution.id")
    workflow_id = serializers.CharField(source="execution.workflow_id")
    workflow_version = serializers.IntegerField(source="execution.workflow_version.version")
    status = serializers.ChoiceField(source="execution.status", choices=values(ExecutionStatus))
    created_at = TimestampField(source="execution.created_at")
    finished_at = TimestampField(source="execution.finished_at", allow_null=True)
    duration_seconds = serializers.FloatField(allow_null=True, help_text="From creation to the end; null before.")
    models = serializers.ListField(child=serializers.CharField(), help_text="Called models (provider:model).")
    total = TotalsSerializer()


class ComparedDocument(serializers.Serializer[Any]):
    """The version of a document that a step has made."""

    id = serializers.UUIDField(source="document_id")
    version = serializers.IntegerField()
    title = serializers.CharField()


class ComparedSide(serializers.Serializer[Any]):
    """A step of one of the two executions."""

    step_id = serializers.CharField(source="step.step_id")
    name = serializers.CharField(source="step.name")
    status = serializers.ChoiceField(source="step.status", choices=values(StepStatus))
    document = ComparedDocument(allow_null=True, help_text="null: it has made none.")
    calls = serializers.IntegerField(source="totals.calls")
    total_tokens = serializers.IntegerField(source="totals.total_tokens")
    cost_usd = MoneyField(source="totals.cost_usd", allow_null=True)
    duration_seconds = serializers.FloatField(allow_null=True, help_text="From its start to its end; null before.")
    models = serializers.ListField(child=serializers.CharField(), help_text="Called models (provider:model).")


class ComparedStepResponse(serializers.Serializer[Any]):
    """A step side by side: the same step of both, else steps that make the same type of document."""

    type = serializers.CharField(help_text="Document type.")
    a = ComparedSide(allow_null=True, help_text="null: only `b` has the step.")
    b = ComparedSide(allow_null=True, help_text="null: only `a` has the step.")
    equal = serializers.BooleanField(allow_null=True, help_text="Whether the documents are; null: one is missing.")
    counts = ChangeCounts(
        allow_null=True,
        help_text="Changes from `a` to `b`. null: a document is missing, or there is too much to compare (100 pairs, "
        "2 MB). Then `equal` compares hashes.",
    )


class ExecutionComparison(serializers.Serializer[Any]):
    """Two executions side by side."""

    a = ComparedExecution()
    b = ComparedExecution()
    steps = ComparedStepResponse(many=True)
