"""Endpoints of documents."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from asgiref.sync import sync_to_async
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from common.api.views import UUID_PATTERN, PagedViewSet
from documents import selectors
from documents.serializers import DocumentDetails, DocumentFilters, DocumentSummary, DocumentVersionSummary

_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)


@extend_schema(tags=["documents"])
class DocumentViewSet(PagedViewSet):
    """Documents."""

    serializer_class = DocumentSummary
    lookup_value_regex = UUID_PATTERN
    ordering = ("-updated_at", "-id")

    @extend_schema(parameters=[DocumentFilters], responses=DocumentSummary(many=True))
    async def list(self, request: Request) -> Response:
        """List documents, newest first."""
        select = partial(selectors.documents, user=request.user)
        return await self.page(request, select, DocumentSummary, filters=DocumentFilters)

    @extend_schema(parameters=[_ID, IF_NONE_MATCH], responses={200: DocumentDetails, **NOT_MODIFIED})
    async def retrieve(self, request: Request, pk: str) -> Response:
        """Get a document with the content of its newest version."""
        return await self._version(request, pk, None)

    @extend_schema(parameters=[_ID], responses=DocumentVersionSummary(many=True))  # type: ignore[type-var]
    @action(detail=True)
    async def versions(self, request: Request, pk: str) -> Response:
        """List a document's versions, newest first."""
        select = partial(selectors.versions, user=request.user, document_id=UUID(pk))
        return await self.page(request, select, DocumentVersionSummary, ordering=("-version",))

    @extend_schema(parameters=[_ID, _NUMBER, IF_NONE_MATCH], responses={200: DocumentDetails, **NOT_MODIFIED})  # type: ignore[type-var]
    @action(detail=True, url_path=r"versions/(?P<number>[0-9]{1,9})")
    async def version(self, request: Request, pk: str, number: str) -> Response:
        """Get one version of a document."""
        return await self._version(request, pk, int(number))

    async def _version(self, request: Request, pk: str, number: int | None) -> Response:
        def read() -> Response:
            row = selectors.version(user=request.user, document_id=UUID(pk), number=number)
            return Response(DocumentDetails(row).data, headers={"ETag": f'"{row.version}"'})

        return await sync_to_async(read)()
