"""Costs over HTTP. Those of one execution or workflow are views of the `executions` room."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.base_views import ApiView
from common.api.serializers import checked
from telemetry import selectors
from telemetry.serializers import SummaryQuery, TelemetrySummary


class SummaryView(ApiView):
    """What was spent."""

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_summary",
        parameters=[SummaryQuery],
        responses=TelemetrySummary,
    )
    async def get(self, request: Request) -> Response:
        """Sum up what was spent in a span of time."""

        def read() -> Response:
            query = checked(SummaryQuery, request.query_params)
            return Response(TelemetrySummary((query, selectors.summary(user=request.user, **query))).data)

        return await sync_to_async(read)()
