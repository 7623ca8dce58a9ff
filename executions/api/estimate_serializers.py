"""Serializers of estimates."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import MoneyField
from common.api.serializers import StrictSerializer
from common.names import NameField
from executions.api.fields import BriefField
from executions.api.serializers import MAX_INTEGER, SLUG


class EstimateRequest(StrictSerializer):
    """The brief and the scope to estimate for."""

    input = BriefField(
        required=False,
        allow_null=True,
        help_text="The brief: a text or an object. null or omitted: no brief, if the workflow permits that.",
    )
    workflow_version = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="The current version by default."
    )
    scope_type = serializers.RegexField(
        SLUG, max_length=63, required=False, help_text="With scope_id: the scope's documents are included."
    )
    scope_id = NameField(max_length=200, required=False)


class CountSpan(serializers.Serializer[Any]):
    """A minimum, an expected value, and a maximum."""

    low = serializers.SerializerMethodField()
    likely = serializers.SerializerMethodField()
    high = serializers.SerializerMethodField()

    def get_low(self, span: Any) -> int:
        """Return the minimum."""
        return int(span.low)

    def get_likely(self, span: Any) -> int:
        """Return the expected value, rounded."""
        return round(span.likely)

    def get_high(self, span: Any) -> int:
        """Return the maximum."""
        return int(span.high)


class MoneySpan(serializers.Serializer[Any]):
    """A minimum, an expected value, and a maximum in US dollars."""

    low = MoneyField()
    likely = MoneyField()
    high = MoneyField()


class StepEstimate(serializers.Serializer[Any]):
    """The estimate of a step, over all its items and calls."""

    step_id = serializers.CharField()
    models = serializers.ListField(
        child=serializers.CharField(),
        help_text="Models that the step may use (provider:model), including fallbacks and reviewers.",
    )
    calls = CountSpan()
    input_tokens = CountSpan()
    output_tokens = CountSpan()
    cost_usd = MoneySpan(allow_null=True, help_text="null: a model has no known price.")


class EstimateResponse(serializers.Serializer[Any]):
    """The estimate of an execution. Nothing was started."""

    workflow_id = serializers.CharField()
    workflow_version = serializers.IntegerField()
    calls = CountSpan()
    input_tokens = CountSpan()
    output_tokens = CountSpan()
    cost_usd = MoneySpan(allow_null=True, help_text="null: a model has no known price.")
    known_cost_usd = MoneySpan(help_text="Cost of the steps whose models all have known prices.")
    cost_complete = serializers.SerializerMethodField(help_text="Whether all models have known prices.")
    unpriced_models = serializers.ListField(child=serializers.CharField())
    based_on_executions = serializers.IntegerField(
        help_text="Number of earlier executions of this workflow that you may see."
    )
    steps = StepEstimate(many=True)

    def get_cost_complete(self, estimate: Any) -> bool:
        """Return whether all models have known prices."""
        return estimate.cost_usd is not None
