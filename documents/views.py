"""Endpoints of documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right, permitted
from access.selectors import effective_roles, limits_of, roles_in
from common.api.pagination import KeysetPagination, encode_cursor, list_in, page_limit, page_start
from common.api.renderers import SANDBOX, HtmlRenderer, file_renderer
from common.api.serializers import checked, represent, represent_all
from common.api.views import UUID_PATTERN, PagedViewSet, in_request_thread
from documents import downloads, selectors
from documents.comparison.diff import compare
from documents.comparison.html import render_page
from documents.comparison.values import ABSENT
from documents.models import Document, DocumentVersion
from documents.rendering.formats import FORMATS
from documents.search.lists import DocumentQuery
from documents.search.pages import BY_RANK, BY_TIME, best_page, newest_page
from documents.serializers import (
    DiffFilters,
    DiffResponse,
    DocumentDetails,
    DocumentFilters,
    DocumentSummary,
    DocumentVersionSummary,
)
from documents.staleness import Reason

FILE_RENDERERS = [file_renderer(name, FORMATS[name].media_type) for name in downloads.NAMES]
_FILES = {
    (200, renderer.media_type): OpenApiTypes.BINARY if renderer.format in {"docx", "pdf"} else OpenApiTypes.STR
    for renderer in FILE_RENDERERS
}
_DETAILS = {(200, "application/json"): DocumentDetails, **_FILES, **NOT_MODIFIED}
_FORMAT = OpenApiParameter(
    "format",
    {"type": "string", "enum": ["json", *downloads.NAMES]},
    OpenApiParameter.QUERY,
    description="The version as a file, like a media type in `Accept`. A file is the same for the same version and "
    "decisions; its footer says who made, edited and accepted it.",
)
_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)

_PAGE = OpenApiExample(
    "Example", media_type="text/html", value='<!doctype html><html lang="en">…</html>', response_only=True
)


class DocumentPagination(KeysetPagination):
    """The pages of the list, which say whether a search has more matches than they hold."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the page's JSON Schema."""
        page = super().get_paginated_response_schema(schema)
        page["properties"]["truncated"] = {
            "type": "boolean",
            "description": "Only with `q`. true: there are more matches than all pages hold, or may be.",
        }
        return page


@extend_schema(tags=["documents"])
class DocumentViewSet(PagedViewSet):
    """Documents."""

    required_rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "versions": Right.READ,
        "version": Right.READ,
        "diff": Right.READ,
    }

    queried = frozenset({"list", "versions", "diff"})
    serializer_class = DocumentSummary
    lookup_value_regex = UUID_PATTERN
    pagination_class = DocumentPagination

    @extend_schema(parameters=[DocumentFilters], responses=DocumentSummary(many=True))
    async def list(self, request: Request) -> Response:
        """List documents, newest first; with `q` the best first."""

        def read() -> Response:
            values = checked(DocumentFilters, request.query_params)
            q, limit, of = values.pop("q", None), page_limit(request.query_params), list_in(request)
            after = page_start(request.query_params, BY_TIME if q is None else BY_RANK, of=of)
            select = newest_page if q is None else partial(best_page, q=q)
            page = select(user=request.user, query=DocumentQuery(**values), limit=limit, after=after)
            self._add_facts(request, [each.document for each in page.documents])
            data = represent_all(DocumentSummary, page.documents)
            body = {"data": data, "next_cursor": None if page.next is None else encode_cursor(page.next, of=of)}
            return Response(body if page.truncated is None else {**body, "truncated": page.truncated})

        return await in_request_thread(read)()

    @extend_schema(parameters=[_ID, _FORMAT, IF_NONE_MATCH], responses=_DETAILS)
    async def retrieve(self, request: Request, pk: str) -> Response:
        """Get a document with the content of its newest version."""
        return await self._version(request, pk, None)

    @extend_schema(parameters=[_ID], responses=DocumentVersionSummary(many=True))  # type: ignore[type-var]
    @action(detail=True, pagination_class=KeysetPagination)
    async def versions(self, request: Request, pk: str) -> Response:
        """List a document's versions, newest first."""
        select = partial(selectors.versions, user=request.user, document_id=UUID(pk))
        return await self.page(request, select, DocumentVersionSummary, ordering=("-version",))

    @extend_schema(parameters=[_ID, _NUMBER, _FORMAT, IF_NONE_MATCH], responses=_DETAILS)  # type: ignore[type-var]
    @action(detail=True, url_path=r"versions/(?P<number>[0-9]{1,9})")
    async def version(self, request: Request, pk: str, number: str) -> Response:
        """Get one version of a document."""
        return await self._version(request, pk, int(number))

    @extend_schema(  # type: ignore[type-var]
        parameters=[_ID, DiffFilters, IF_NONE_MATCH],
        responses={(200, "application/json"): DiffResponse, (200, "text/html"): OpenApiTypes.STR, **NOT_MODIFIED},
        examples=[_PAGE],
    )
    @action(detail=True, renderer_classes=[JSONRenderer, HtmlRenderer])
    async def diff(self, request: Request, pk: str) -> Response:
        """Compare two versions of a document: by default the newest version with the one before it."""
        return await in_request_thread(self._diff)(request, UUID(pk))

    def _diff(self, request: Request, document_id: UUID) -> Response:
        """Return the response with a difference, as JSON or as a page."""
        asked = checked(DiffFilters, request.query_params)
        before, after = selectors.version_pair(
            user=request.user, document_id=document_id, before=asked.get("from"), after=asked.get("to")
        )
        difference = compare(
            ABSENT if before is None else before.content,
            after.content,
            schema=after.schema.content,
            schema_before=None if before is None else before.schema.content,
        )
        headers = {"ETag": f'"{after.version}"'}
        if request.accepted_renderer.format == HtmlRenderer.format:
            return Response(render_page(difference, title=after.title), headers={**headers, **SANDBOX})
        values = {"document_id": document_id, "from": before, "to": after, "counts": difference.counts}
        return Response(represent(DiffResponse, {**values, "changes": difference.changes}), headers=headers)

    def get_renderers(self) -> Any:
        """Return the renderers of the action: a version can be a file, too."""
        if self.action in {"retrieve", "version"}:
            return [JSONRenderer(), *(renderer() for renderer in FILE_RENDERERS)]
        return super().get_renderers()

    async def _version(self, request: Request, pk: str, number: int | None) -> Response:
        name = request.accepted_renderer.format
        if name in downloads.NAMES:
            return await in_request_thread(self._file)(request, UUID(pk), number, name=name)
        return await in_request_thread(self._details)(request, UUID(pk), number)

    def _file(self, request: Request, document_id: UUID, number: int | None, *, name: str) -> Response:
        """Return the response with a version as a file."""
        row = selectors.readable_version(user=request.user, document_id=document_id, number=number)
        made, file_name = downloads.write_file(row, name, decided=self.decided(row), look=self.look_of(row, name))
        headers = {"ETag": f'"{row.version}"', "Content-Disposition": f'attachment; filename="{file_name}"', **SANDBOX}
        return Response(made, headers=headers)

    def decided(self, row: DocumentVersion) -> Sequence[str]:
        """Return what people have decided about a version, for its footer. Executions know it."""
        return ()

    def look_of(self, row: DocumentVersion, name: str) -> downloads.Look:
        """Return the look of a version in a format. The subclass knows workflows."""
        return downloads.Look()

    def _details(self, request: Request, document_id: UUID, number: int | None) -> Response:
        """Return the response with one version of a document, by default that of the head."""
        row = selectors.version(user=request.user, document_id=document_id, number=number)
        reasons = self.stale_because(document_id)
        row.document.stale, row.stale_because = bool(reasons), reasons  # type: ignore[attr-defined]
        self._add_facts(request, [row.document])
        return Response(represent(DocumentDetails, row), headers={"ETag": f'"{row.version}"'})

    def stale_because(self, document_id: UUID) -> Sequence[Reason]:
        """Return why a document is stale. The subclass knows what people have decided about it."""
        raise NotImplementedError

    def _add_facts(self, request: Request, rows: Sequence[Document]) -> None:
        """Add the proposed versions, and what the caller may do: one query each for all documents."""
        found = self.proposed_versions([row.id for row in rows])
        roots = {row.root_id for row in rows}
        roles = effective_roles(request.user, roots, roles_in(request.user, roots))
        for row in rows:
            row.proposed_version = found.get(row.id)  # type: ignore[attr-defined]
            possible = selectors.possible_actions(
                last_version=row.last_version, is_proposed=row.id in found, is_erased=row.erased_at is not None
            )
            row.may = permitted(  # type: ignore[attr-defined]
                roles.get(row.root_id), possible, limits=limits_of(request.user)
            )

    def proposed_versions(self, document_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Return the newest proposed versions that wait for a decision. The subclass knows which these are."""
        raise NotImplementedError
