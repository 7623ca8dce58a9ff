"""Endpoint for estimates."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from common.api.serializers import checked
from common.api.views import ApiView
from common.database.server import database_now
from executions.api.estimate_serializers import EstimateRequest, EstimateResponse
from executions.api.openapi import problems
from executions.services import estimates


class EstimateView(ApiView):
    """Estimates of workflows."""

    @extend_schema(
        tags=["workflows"],
        operation_id="workflow_estimate",
        parameters=[OpenApiParameter("workflow_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        request=EstimateRequest,
        responses={200: EstimateResponse, **problems(400, 401, 404, 413, 415, 422)},
    )
    async def post(self, request: Request, workflow_id: str) -> Response:
        """Estimate the calls, tokens and cost of an execution: minimum, expected value and maximum."""

        def read() -> Response:
            values = checked(EstimateRequest, request.data)
            estimate = estimates.estimate(user=request.user, workflow_id=workflow_id, now=database_now(), **values)
            return Response(EstimateResponse(estimate).data)

        return await sync_to_async(read)()
