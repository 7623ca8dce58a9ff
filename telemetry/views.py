"""Endpoint of the cost summary. Costs of one execution or workflow are endpoints of `executions`."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import Right
from common.api.renderers import CsvRenderer, to_csv
from common.api.serializers import checked, represent
from common.api.views import ApiView, in_request_thread
from telemetry import selectors
from telemetry.serializers import SummaryQuery, TelemetrySummary, csv_table

_AS_FILE = {"Content-Disposition": 'attachment; filename="costs.csv"', "X-Content-Type-Options": "nosniff"}


class SummaryView(ApiView):
    """Usage and cost of all executions."""

    required_rights = {"get": Right.READ}
    queried = frozenset({"get"})
    renderer_classes = (JSONRenderer, CsvRenderer)

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_summary",
        parameters=[SummaryQuery],
        responses={200: TelemetrySummary, (200, CsvRenderer.media_type): OpenApiTypes.STR},
    )
    async def get(self, request: Request) -> Response:
        """Sum up usage and cost in a time range."""

        def read() -> Response:
            query = checked(SummaryQuery, request.query_params)
            shown = represent(TelemetrySummary, (query, selectors.summary(user=request.user, **query)))
            if request.accepted_renderer.format != CsvRenderer.format:
                return Response(shown)
            return Response(to_csv(*csv_table(shown, query["by_day"])), headers=_AS_FILE)

        return await in_request_thread(read)()
