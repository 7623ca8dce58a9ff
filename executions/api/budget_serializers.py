"""Serializers of budgets."""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from common.api.serializers import MoneyField, StrictSerializer
from workflows.definitions.budget import MAX_INTEGER

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class _Plain(serializers.Field):
    """A number; for an amount of money also text that is one. An empty text is invalid and does not remove a limit."""

    def run_validation(self, data: object = serializers.empty) -> Any:
        """Return the number.

        Raises:
            ValidationError: the value is not a number.
        """
        if isinstance(data, bool) or (isinstance(data, str) and not _NUMBER.fullmatch(data)):
            self.fail("invalid")
        return super().run_validation(data)


class AmountField(_Plain, serializers.DecimalField):
    """An amount of money."""


class _Seconds(_Plain, serializers.FloatField):
    pass


class _Count(_Plain, serializers.IntegerField):
    pass


@extend_schema_serializer(
    examples=[OpenApiExample("Two dollars, ten minutes", value={"max_cost_usd": "2.00", "max_seconds": 600})]
)
class BudgetRequest(StrictSerializer):
    """Limits of an execution. They are hard: a call that might exceed one is not made, and the execution waits."""

    max_cost_usd = AmountField(
        max_digits=20, decimal_places=10, min_value=0, required=False, allow_null=True, help_text="US dollars."
    )
    max_tokens = _Count(
        min_value=0, max_value=MAX_INTEGER, required=False, allow_null=True, help_text="Tokens of all buckets together."
    )
    max_calls = _Count(
        min_value=0, max_value=MAX_INTEGER, required=False, allow_null=True, help_text="Model calls; each try counts."
    )
    max_seconds = _Seconds(
        min_value=0,
        max_value=MAX_INTEGER,
        required=False,
        allow_null=True,
        help_text="Run time in seconds; waiting does not count.",
    )


class BudgetUsed(serializers.Serializer[Any]):
    """Usage so far. Calls that are under way, or have an unknown outcome, count with their maximum."""

    cost_usd = MoneyField(allow_null=True, help_text="null: a call has no known price.")
    known_cost_usd = MoneyField(help_text="Without calls that have no known price.")
    cost_complete = serializers.BooleanField(help_text="false: a part of the cost is unknown.")
    tokens = serializers.IntegerField()
    calls = serializers.IntegerField()
    seconds = serializers.FloatField()


class BudgetResponse(serializers.Serializer[Any]):
    """Limits of an execution (null: no limit), and their usage."""

    max_cost_usd = MoneyField(source="budget.max_cost_usd", allow_null=True)
    max_tokens = serializers.IntegerField(source="budget.max_tokens", allow_null=True)
    max_calls = serializers.IntegerField(source="budget.max_calls", allow_null=True)
    max_seconds = serializers.FloatField(source="budget.max_seconds", allow_null=True)
    used = BudgetUsed(source="*")
