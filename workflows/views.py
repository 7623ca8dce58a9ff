"""Endpoints of workflows. Every user may read them."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.rights import Right
from common.api.views import PagedViewSet
from workflows import selectors
from workflows.serializers import WorkflowDetails, WorkflowSummary, WorkflowVersionSummary

_STEP = OpenApiParameter("step", OpenApiTypes.STR, OpenApiParameter.PATH)
_ID = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)


@extend_schema(tags=["workflows"])
class WorkflowViewSet(PagedViewSet):
    """Published workflows."""

    required_rights = {"list": Right.READ, "retrieve": Right.READ, "versions": Right.READ, "schema_of_step": Right.READ}

    serializer_class = WorkflowSummary
    lookup_value_regex = r"[a-z0-9-]+"

    @extend_schema(responses=WorkflowSummary(many=True))
    async def list(self, request: Request) -> Response:
        """List the workflows."""
        return await self.page(request, selectors.workflows, WorkflowSummary)

    @extend_schema(parameters=[_ID, IF_NONE_MATCH], responses={200: WorkflowDetails, **NOT_MODIFIED})
    async def retrieve(self, request: Request, pk: str) -> Response:
        """Get a workflow's definition."""
        row = await sync_to_async(selectors.current)(pk)
        return Response(WorkflowDetails(row).data, headers={"ETag": f'"{row.version}"'})

    @extend_schema(parameters=[_ID], responses=WorkflowVersionSummary(many=True))  # type: ignore[type-var]
    @action(detail=True)
    async def versions(self, request: Request, pk: str) -> Response:
        """List a workflow's versions, newest first."""
        return await self.page(request, lambda: selectors.versions(pk), WorkflowVersionSummary, ordering=("-version",))

    @extend_schema(parameters=[_ID, _STEP], responses=OpenApiTypes.OBJECT)  # type: ignore[type-var]
    @action(detail=True, url_path=r"schema/(?P<step>[a-z0-9-]+)", pagination_class=None)
    async def schema_of_step(self, request: Request, pk: str, step: str) -> Response:
        """Get the JSON Schema of the document that a step produces."""
        return Response(await sync_to_async(selectors.output_schema)(pk, step))
