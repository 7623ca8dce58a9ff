"""Endpoints for costs of executions, executions side by side, and statistics of workflows."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right
from common.api.serializers import checked, represent
from common.api.views import ONLY_VERSION, ApiView, in_request_thread
from executions.api.cost_serializers import CompareFilters, ExecutionComparison, ExecutionCosts, WorkflowStats
from executions.api.openapi import problems
from executions.selectors import costs
from executions.selectors.comparison import compare_executions


class ExecutionCostsView(ApiView):
    """The cost of an execution."""

    required_rights = {"get": Right.READ}

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_execution_costs",
        parameters=[OpenApiParameter("execution_id", OpenApiTypes.UUID, OpenApiParameter.PATH), IF_NONE_MATCH],
        responses={200: ExecutionCosts, **NOT_MODIFIED, **problems(400, 401, 404)},
    )
    async def get(self, request: Request, execution_id: str) -> Response:
        """Return an execution's cost: the total, then by step, attempt and call."""

        def read() -> Response:
            execution_costs = costs.execution_costs(user=request.user, execution_id=UUID(execution_id))
            return Response(represent(ExecutionCosts, execution_costs), headers={"ETag": ONLY_VERSION})

        return await in_request_thread(read)()


class ExecutionComparisonView(ApiView):
    """Two executions side by side."""

    required_rights = {"get": Right.READ}
    queried = frozenset({"get"})

    @extend_schema(
        tags=["executions"],
        operation_id="executions_compare",
        parameters=[CompareFilters],
        responses={200: ExecutionComparison, **problems(401, 404, 422)},
    )
    async def get(self, request: Request) -> Response:
        """Compare two executions: the documents of each step, with costs, times and models."""

        def read() -> Response:
            compared = compare_executions(user=request.user, **checked(CompareFilters, request.query_params))
            return Response(represent(ExecutionComparison, compared))

        return await in_request_thread(read)()


class WorkflowStatsView(ApiView):
    """Statistics of a workflow."""

    required_rights = {"get": Right.READ}

    @extend_schema(
        tags=["telemetry"],
        operation_id="telemetry_workflow_stats",
        parameters=[OpenApiParameter("workflow_id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses={200: WorkflowStats, **problems(401, 404)},
    )
    async def get(self, request: Request, workflow_id: str) -> Response:
        """Return statistics of a workflow's executions: success, corrections, durations and costs."""

        def read() -> Response:
            return Response(represent(WorkflowStats, costs.workflow_stats(user=request.user, workflow_id=workflow_id)))

        return await in_request_thread(read)()
