"""Endpoint for estimates."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import Right
from common.api.serializers import ListedChoiceField, MoneyField, StrictSerializer, checked, represent
from common.api.views import ApiView, in_request_thread
from common.database.server import database_now
from common.names import NameField
from executions.api.fields import BriefField
from executions.api.openapi import problems
from executions.api.serializers import MAX_INTEGER, SLUG, values
from executions.engine.domain.states import Reuse
from executions.services import estimates


class EstimateRequest(StrictSerializer):
    """The brief and the scope to estimate for."""

    input = BriefField(
        required=False,
        allow_null=True,
        help_text="The brief: a text or an object, with `files` for uploaded files. null or omitted: no brief, if the "
        "workflow permits that.",
    )
    workflow_version = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="The current version by default."
    )
    scope_type = serializers.RegexField(
        SLUG, max_length=63, required=False, help_text="With scope_id: the scope's documents are included."
    )
    scope_id = NameField(max_length=200, required=False)
    reuse = ListedChoiceField(
        choices=values(Reuse),
        default=Reuse.NONE.value,
        help_text="current: as for a start. What is reused now costs nothing; all that follows a step that runs is "
        "counted. You need the right to start executions in the scope.",
    )

    def validate_reuse(self, value: str) -> Reuse:
        """Return the choice as an engine value."""
        return Reuse(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values.

        Raises:
            ValidationError: the scope is not named, or by a half.
        """
        named = {"scope_type", "scope_id"}
        if missing := (named - attrs.keys() if attrs["reuse"] is Reuse.CURRENT or attrs.keys() & named else set()):
            raise serializers.ValidationError(dict.fromkeys(missing, "Name the scope by its type and its key."))
        return attrs


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
    reused = serializers.IntegerField(help_text="Number of its documents that are reused, without a call.")
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


class EstimateView(ApiView):
    """Estimates of workflows."""

    required_rights = {"post": Right.READ}
    on_loop = frozenset({"post"})  # documents are compared as a worker does it

    @extend_schema(
        tags=["workflows"],
        operation_id="workflow_estimate",
        parameters=[OpenApiParameter("workflow_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        request=EstimateRequest,
        responses={200: EstimateResponse, **problems(400, 401, 403, 404, 410, 413, 415, 422)},
    )
    async def post(self, request: Request, workflow_id: str) -> Response:
        """Estimate the calls, tokens and cost of an execution: minimum, expected value and maximum."""
        asked: dict[str, Any] = {"user": request.user, "workflow_id": workflow_id, "now": database_now()}
        given = await in_request_thread(lambda: checked(EstimateRequest, request.data))()
        if given.pop("reuse") is Reuse.CURRENT:
            given["reuse"] = await estimates.find_reusable(**asked, **given)

        def read() -> Response:
            return Response(represent(EstimateResponse, estimates.estimate(**asked, **given)))

        return await in_request_thread(read)()
