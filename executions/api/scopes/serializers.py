"""Serializers of scopes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.permissions import Role
from access.serializers import may_field
from common.api.serializers import CountField, MoneyField, StrictSerializer, TimestampField
from common.names import NameField
from executions.api.budget_serializers import AmountField
from executions.engine.domain.states import ExecutionStatus
from workflows.definitions.definition import MAX_RETENTION_DAYS


class ScopeFilters(StrictSerializer):
    """Filters of the list of scopes."""

    scope_type = serializers.CharField(required=False, help_text="Type of the scope.")
    scope_id = NameField(required=False, help_text="Key of the scope.")
    q = NameField(required=False, max_length=200, help_text="Text that the type or the key contains.")


class ChildFilters(StrictSerializer):
    """Which children are shown."""

    parent = serializers.UUIDField(  # type: ignore[assignment]
        required=False, help_text="A scope below the root; by default the root itself."
    )


class StatusCounts(serializers.Serializer[Any]):
    """Number of executions by status. Counts are exact to 100; above it they are `100+`."""

    def get_fields(self) -> dict[str, Any]:
        """Return a field for each status."""
        return {each.value: CountField() for each in ExecutionStatus}


class RootScopeResponse(serializers.Serializer[Any]):
    """A root scope, and what is in it and below."""

    id = serializers.UUIDField(source="scope.id")
    scope_type = serializers.CharField(source="scope.type")
    scope_id = serializers.CharField(source="scope.key", help_text="Its key.")
    created_at = TimestampField(source="scope.created_at")
    role = serializers.ChoiceField(choices=Role.choices, help_text="Your role; staff are owners everywhere.")
    may = may_field()
    executions = StatusCounts()
    documents = CountField()
    waiting = CountField(help_text="Questions, decisions and budgets that wait for people.")


class ScopeBudgetRequest(StrictSerializer):
    """The budget of a root scope per calendar month (UTC)."""

    max_cost_usd = AmountField(
        max_digits=20, decimal_places=10, min_value=0, allow_null=True, help_text="US dollars a month; null: no budget."
    )


class ScopeBudgetResponse(serializers.Serializer[Any]):
    """The budget of a root scope per calendar month (UTC), and its use."""

    max_cost_usd = MoneyField(allow_null=True, help_text="null: no budget.")
    spent_usd = MoneyField(help_text="Spent or reserved this month.")
    remaining_usd = MoneyField(allow_null=True, help_text="Negative if overspent; null: no budget.")
    month_started_at = TimestampField()
    version = serializers.IntegerField(allow_null=True, help_text="For `If-Match`, in double quotes; null: no budget.")


class ScopeRetentionRequest(StrictSerializer):
    """How long a root scope keeps executions."""

    days = serializers.IntegerField(
        min_value=1,
        max_value=MAX_RETENTION_DAYS,
        allow_null=True,
        help_text="Days after the end of an execution until its contents are erased; null: as its workflow says, or "
        "for ever.",
    )


class ScopeRetentionResponse(serializers.Serializer[Any]):
    """How long a root scope keeps executions."""

    days = serializers.IntegerField(allow_null=True, help_text="null: as their workflows say, or for ever.")
    version = serializers.IntegerField(
        allow_null=True, help_text="For `If-Match`, in double quotes; null: it was never set."
    )


class ChildScopeResponse(serializers.Serializer[Any]):
    """A scope below another one. Lists of executions, documents and questions take its id as `scope`."""

    id = serializers.UUIDField(source="scope.id")
    parent_id = serializers.UUIDField(source="scope.parent_id")
    scope_type = serializers.CharField(source="scope.type")
    scope_id = serializers.CharField(source="scope.key", help_text="Its key.")
    created_at = TimestampField(source="scope.created_at")
    documents = CountField(help_text="Directly in it.")
    children = CountField(help_text="Scopes directly below it.")


class ScopeDetailsResponse(RootScopeResponse):
    """A root scope with its owners, its budget, and one page of the scopes below."""

    owners = serializers.ListField(child=serializers.CharField(), help_text="User names of the first 20.")
    budget = ScopeBudgetResponse()
    retention = ScopeRetentionResponse()
    children = ChildScopeResponse(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="Of the children; null: this is the last page.")
