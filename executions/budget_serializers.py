"""How budgets look to clients, and what clients may send."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from access.fields import MoneyField
from access.serializers import StrictSerializer
from workflows.budget import MOST


@extend_schema_serializer(
    examples=[OpenApiExample("Two dollars, ten minutes", value={"max_cost_usd": "2.00", "max_seconds": 600})]
)
class BudgetRequest(StrictSerializer):
    """Limits of an execution. They are hard: a call that might pass one is not made, and the execution waits."""

    max_cost_usd = serializers.DecimalField(
        max_digits=20, decimal_places=10, min_value=0, required=False, allow_null=True, help_text="US dollars."
    )
    max_tokens = serializers.IntegerField(
        min_value=0, max_value=MOST, required=False, allow_null=True, help_text="Of all buckets together."
    )
    max_calls = serializers.IntegerField(
        min_value=0, max_value=MOST, required=False, allow_null=True, help_text="Each try counts."
    )
    max_seconds = serializers.DecimalField(
        max_digits=19,
        decimal_places=3,
        min_value=0,
        max_value=MOST,
        coerce_to_string=False,
        required=False,
        allow_null=True,
        help_text="Running time; waiting does not count.",
    )


class BudgetUsed(serializers.Serializer[Any]):
    """What was spent so far, and what calls under way, or of unknown outcome, may cost at most."""

    cost_usd = MoneyField()
    tokens = serializers.IntegerField()
    calls = serializers.IntegerField()
    seconds = serializers.FloatField()


class BudgetResponse(serializers.Serializer[Any]):
    """Limits of an execution (null: not limited), and how near it is to them."""

    max_cost_usd = MoneyField(source="budget.max_cost_usd", allow_null=True)
    max_tokens = serializers.IntegerField(source="budget.max_tokens", allow_null=True)
    max_calls = serializers.IntegerField(source="budget.max_calls", allow_null=True)
    max_seconds = serializers.FloatField(source="budget.max_seconds", allow_null=True)
    used = BudgetUsed(source="*")
