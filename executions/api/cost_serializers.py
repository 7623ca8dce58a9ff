"""How the costs of executions and the statistics of workflows look to clients."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import MoneyField, TimestampField
from executions.api.serializers import values
from executions.engine.domain.states import CallKind, CallStatus, ExecutionStatus
from telemetry.serializers import TotalsSerializer


class StepCost(serializers.Serializer[Any]):
    """One call to a model: what it took and what it cost."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=values(CallKind))
    ordinal = serializers.IntegerField(help_text="Counts the tries of the same attempt, from 1.")
    status = serializers.ChoiceField(choices=values(CallStatus))
    provider = serializers.CharField(help_text="Empty until there is a reply.")
    model = serializers.CharField(help_text="As the provider names it; empty until there is a reply.")
    requested_model = serializers.CharField(help_text="`provider:model` as asked for.")
    input_tokens = serializers.IntegerField(help_text="Without cached ones.")
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField(help_text="A part of `output_tokens`.")
    total_tokens = serializers.SerializerMethodField()
    cost_usd = MoneyField(allow_null=True)
    estimated_cost_usd = MoneyField(
        allow_null=True,
        help_text="What it costs at most while there is no reply; null: it is settled, or has no price.",
    )
    latency_ms = serializers.IntegerField(allow_null=True)
    started_at = TimestampField()
    finished_at = TimestampField(allow_null=True)
    error = serializers.CharField(help_text="Empty when it went well.")

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
    """What a step cost, call by call."""

    step_id = serializers.CharField()
    attempts = AttemptCosts(many=True)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return name, sum and attempts in one object."""
        attempts = AttemptCosts(instance.attempts, many=True).data
        return {"step_id": instance.step_id, **TotalsSerializer(instance.totals).data, "attempts": attempts}


class ExecutionCosts(serializers.Serializer[Any]):
    """What an execution cost: `total` is the sum of `steps`."""

    execution_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=values(ExecutionStatus))
    total = TotalsSerializer()
    estimated_unknown_cost_usd = MoneyField(
        allow_null=True,
        help_text="What calls without a reply cost at most, beyond what is known. null: one has no price.",
    )
    steps = StepCosts(many=True)


class SecondsPercentiles(serializers.Serializer[Any]):
    """The middle and the high end of durations; null when there are none."""

    p50 = serializers.FloatField(allow_null=True)
    p95 = serializers.FloatField(allow_null=True)


class CostPercentiles(serializers.Serializer[Any]):
    """The middle and the high end of costs; null when there are none."""

    p50 = MoneyField(allow_null=True)
    p95 = MoneyField(allow_null=True)


class WorkflowStats(serializers.Serializer[Any]):
    """How the executions of a workflow fare, over those that the caller may see. Durations are of completed ones."""

    workflow_id = serializers.CharField()
    executions = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField(), help_text="Executions by status.")
    success_rate = serializers.FloatField(
        allow_null=True, help_text="Completed of completed and failed; null before the first."
    )
    remediation_rate = serializers.FloatField(
        allow_null=True, help_text="Steps whose output had to be repaired, of all that asked a model."
    )
    duration_seconds = SecondsPercentiles(help_text="From acceptance to the end.")
    waiting_seconds = SecondsPercentiles(help_text="Of it, waiting for people or parked.")
    running_seconds = SecondsPercentiles(help_text="Of it, from the first start on, not waiting.")
    cost_usd = CostPercentiles(help_text="Per execution, over those whose whole cost is known.")
    totals = TotalsSerializer(help_text="Over all executions, ended or not.")
