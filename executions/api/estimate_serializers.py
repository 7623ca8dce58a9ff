"""Estimates on their way in and out."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import MoneyField
from common.api.serializers import StrictSerializer
from common.names import NameField
from executions.api.fields import BriefField
from executions.api.serializers import MAX_INTEGER, SLUG


class EstimateRequest(StrictSerializer):
    """On what, and where."""

    input = BriefField(
        required=False,
        allow_null=True,
        help_text="The brief: a text or an object. null or left out: there is none, where the workflow allows that.",
    )
    workflow_version = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="The current one by default."
    )
    scope_type = serializers.RegexField(
        SLUG, max_length=63, required=False, help_text="With scope_id: the documents that are there are counted."
    )
    scope_id = NameField(max_length=200, required=False)


class CountSpan(serializers.Serializer[Any]):
    """The least, what is likely, and the most."""

    low = serializers.SerializerMethodField()
    likely = serializers.SerializerMethodField()
    high = serializers.SerializerMethodField()

    def get_low(self, each: Any) -> int:
        """Return the least."""
        return int(each.low)

    def get_likely(self, each: Any) -> int:
        """Return what is likely, rounded."""
        return round(each.likely)

    def get_high(self, each: Any) -> int:
        """Return the most."""
        return int(each.high)


class MoneySpan(serializers.Serializer[Any]):
    """The least, what is likely, and the most, in US dollars."""

    low = MoneyField()
    likely = MoneyField()
    high = MoneyField()


class StepEstimate(serializers.Serializer[Any]):
    """What a step would take, over all its items and calls."""

    step_id = serializers.CharField()
    models = serializers.ListField(
        child=serializers.CharField(), help_text="provider:model that it may ask, fallbacks and reviewers included."
    )
    calls = CountSpan()
    input_tokens = CountSpan()
    output_tokens = CountSpan()
    cost_usd = MoneySpan(allow_null=True, help_text="null: a model has no known price.")


class EstimateResponse(serializers.Serializer[Any]):
    """What an execution would take. Nothing was started."""

    workflow_id = serializers.CharField()
    workflow_version = serializers.IntegerField()
    calls = CountSpan()
    input_tokens = CountSpan()
    output_tokens = CountSpan()
    cost_usd = MoneySpan(allow_null=True, help_text="null: a model has no known price.")
    known_cost_usd = MoneySpan(help_text="Of the steps whose models all have known prices.")
    cost_complete = serializers.SerializerMethodField(help_text="Whether all models have known prices.")
    unpriced_models = serializers.ListField(child=serializers.CharField())
    based_on_executions = serializers.IntegerField(help_text="Of this workflow, that you may read.")
    steps = StepEstimate(many=True)

    def get_cost_complete(self, found: Any) -> bool:
        """Return whether all models have known prices."""
        return found.cost_usd is not None
