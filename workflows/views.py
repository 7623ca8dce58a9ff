"""Endpoints of workflows: reading, for every user."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right
from common.api.renderers import file_renderer
from common.api.serializers import checked, represent
from common.api.views import PagedViewSet, in_request_thread
from workflows import repository, selectors
from workflows.definitions.editor_schema import editor_schema
from workflows.definitions.graph import graph_of
from workflows.exchange.folders import write_zip
from workflows.serializers import (
    VersionFilter,
    WorkflowDetails,
    WorkflowDiffFilters,
    WorkflowDiffResponse,
    WorkflowFilters,
    WorkflowGraphResponse,
    WorkflowSummary,
    WorkflowVersionDetails,
    WorkflowVersionSummary,
)

_ZIP = file_renderer("zip", "application/zip")
_NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)
_STEP = OpenApiParameter("step", OpenApiTypes.STR, OpenApiParameter.PATH)
_ID = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)


@extend_schema(tags=["workflows"])
class WorkflowViewSet(PagedViewSet):
    """Published workflows."""

    required_rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "versions": Right.READ,
        "version": Right.READ,
        "diff": Right.READ,
        "graph": Right.READ,
        "export": Right.READ,
        "editor_schema": Right.READ,
        "schema_of_step": Right.READ,
    }

    queried = frozenset({"list", "versions", "diff", "graph", "export"})
    serializer_class = WorkflowSummary
    lookup_value_regex = r"[a-z0-9-]+"

    @extend_schema(parameters=[WorkflowFilters], responses=WorkflowSummary(many=True))
    async def list(self, request: Request) -> Response:
        """List the workflows."""
        return await self.page(request, selectors.workflows, WorkflowSummary, filters=WorkflowFilters)

    @extend_schema(parameters=[_ID, IF_NONE_MATCH], responses={200: WorkflowDetails, **NOT_MODIFIED})
    async def retrieve(self, request: Request, pk: str) -> Response:
        """Get a workflow's definition."""
        row = await in_request_thread(selectors.current)(pk)
        return Response(represent(WorkflowDetails, row), headers={"ETag": f'"{row.version}"'})

    @extend_schema(parameters=[_ID], responses=WorkflowVersionSummary(many=True))  # type: ignore[type-var]
    @action(detail=True)
    async def versions(self, request: Request, pk: str) -> Response:
        """List a workflow's versions, newest first."""
        return await self.page(request, lambda: selectors.versions(pk), WorkflowVersionSummary, ordering=("-version",))

    @extend_schema(parameters=[_ID, _NUMBER, IF_NONE_MATCH], responses={200: WorkflowVersionDetails, **NOT_MODIFIED})  # type: ignore[type-var]
    @action(detail=True, url_path=r"versions/(?P<number>[0-9]{1,9})")
    async def version(self, request: Request, pk: str, number: str) -> Response:
        """Get one version of a workflow."""
        row = await in_request_thread(selectors.version)(pk, int(number))
        return Response(represent(WorkflowVersionDetails, row), headers={"ETag": f'"{row.version}"'})

    @extend_schema(  # type: ignore[type-var]
        parameters=[_ID, WorkflowDiffFilters, IF_NONE_MATCH], responses={200: WorkflowDiffResponse, **NOT_MODIFIED}
    )
    @action(detail=True, pagination_class=None)
    async def diff(self, request: Request, pk: str) -> Response:
        """Compare two versions of a workflow: by default the current one with the one before it."""

        def read() -> Response:
            asked = checked(WorkflowDiffFilters, request.query_params)
            before, after = selectors.version_pair(pk, asked.get("from"), asked.get("to"))
            found = selectors.difference_of(before, after)
            told = {
                "workflow_id": pk,
                "from": None if before is None else before.version,
                "to": after.version,
                "changes": found.changes,
                "steps": found.steps,
                "roles": found.roles,
                "is_reordered": found.is_reordered,
            }
            return Response(represent(WorkflowDiffResponse, told), headers={"ETag": f'"{after.version}"'})

        return await in_request_thread(read)()

    @extend_schema(  # type: ignore[type-var]
        parameters=[_ID, VersionFilter, IF_NONE_MATCH], responses={200: WorkflowGraphResponse, **NOT_MODIFIED}
    )
    @action(detail=True, pagination_class=None)
    async def graph(self, request: Request, pk: str) -> Response:
        """Get the steps of a workflow as a graph: levels, and the documents between the steps."""

        def read() -> Response:
            row = selectors.version(pk, checked(VersionFilter, request.query_params).get("version"))
            graph = graph_of(repository.get_definition(pk, row.version))
            return Response(represent(WorkflowGraphResponse, graph), headers={"ETag": f'"{row.version}"'})

        return await in_request_thread(read)()

    @extend_schema(  # type: ignore[type-var]
        parameters=[_ID, VersionFilter, IF_NONE_MATCH],
        responses={(200, "application/zip"): OpenApiTypes.BINARY, **NOT_MODIFIED},
    )
    @action(detail=True, pagination_class=None, renderer_classes=[_ZIP])
    async def export(self, request: Request, pk: str) -> Response:
        """Download a version as the folder of its files, as zip, which publishes as the same version again."""

        def read() -> Response:
            row = selectors.version(pk, checked(VersionFilter, request.query_params).get("version"))
            definition = repository.get_definition(pk, row.version)
            house = None if definition.house is None else repository.house_file(definition.house)
            name = f'attachment; filename="{pk}-{row.version}.zip"'
            headers = {"ETag": f'"{row.version}"', "Content-Disposition": name, "X-Content-Type-Options": "nosniff"}
            return Response(write_zip(definition, house=house), headers=headers)

        return await in_request_thread(read)()

    @extend_schema(operation_id="workflows_editor_schema", responses=OpenApiTypes.OBJECT)  # type: ignore[type-var]
    @action(detail=False, url_path="schema", pagination_class=None)
    async def editor_schema(self, request: Request) -> Response:
        """Get the JSON Schema of a definition, for editors that complete names and mark faults."""
        return Response(await in_request_thread(editor_schema)())

    @extend_schema(parameters=[_ID, _STEP], responses=OpenApiTypes.OBJECT)  # type: ignore[type-var]
    @action(detail=True, url_path=r"schema/(?P<step>[a-z0-9-]+)", pagination_class=None)
    async def schema_of_step(self, request: Request, pk: str, step: str) -> Response:
        """Get the JSON Schema of the document that a step produces."""
        return Response(await in_request_thread(selectors.output_schema)(pk, step))
