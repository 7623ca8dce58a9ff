"""Endpoints of the cost summary and of its executions. `executions` has those of one execution or workflow."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access.permissions import Right
from common.api.pagination import encode_cursor, list_in, page_limit, page_start
from common.api.renderers import CsvRenderer, to_csv
from common.api.serializers import checked, represent, represent_all
from common.api.views import ApiView, PagedViewSet, in_request_thread
from telemetry import breakdown, selectors
from telemetry.serializers import ExecutionShareResponse, SharesQuery, SummaryQuery, TelemetrySummary, csv_table

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


class SharesView(PagedViewSet):
    """Executions of a sum."""

    required_rights = {"list": Right.READ}
    serializer_class = ExecutionShareResponse

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_executions",
        parameters=[SharesQuery],
        responses={200: ExecutionShareResponse(many=True)},
    )
    async def list(self, request: Request) -> Response:
        """List the executions that a sum consists of, the most expensive first."""

        def read() -> Response:
            query = checked(SharesQuery, request.query_params)
            limit, of = page_limit(request.query_params), list_in(request)
            after = page_start(request.query_params, breakdown.BY_COST, of=of)
            page = breakdown.executions_of_sum(user=request.user, limit=limit, after=after, **query)
            following = None if page.next is None else encode_cursor(page.next, of=of)
            return Response({"data": represent_all(ExecutionShareResponse, page.executions), "next_cursor": following})

        return await in_request_thread(read)()
