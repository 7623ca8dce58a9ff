"""Endpoint of the cost summary. Costs of one execution or workflow are endpoints of `executions`."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import Right
from common.api.serializers import checked
from common.api.views import ApiView, in_request_thread
from telemetry import selectors
from telemetry.serializers import SummaryQuery, TelemetrySummary


class SummaryView(ApiView):
    """Usage and cost of all executions."""

    required_rights = {"get": Right.READ}
    queried = frozenset({"get"})

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_summary",
        parameters=[SummaryQuery],
        responses=TelemetrySummary,
    )
    async def get(self, request: Request) -> Response:
        """Sum up usage and cost in a time range."""

        def read() -> Response:
            query = checked(SummaryQuery, request.query_params)
            return Response(TelemetrySummary((query, selectors.summary(user=request.user, **query))).data)

        return await in_request_thread(read)()
