"""Endpoint of the audit log: pages as JSON, or many entries at once as CSV."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from access.audit.acts import Act
from access.audit.recording import record_read
from access.audit.selectors import entries, named, readable_root
from access.audit.serializers import AuditEntryResponse, AuditFilters
from access.permissions import Right
from common.api.pagination import KeysetPagination, page_limit
from common.api.renderers import CsvRenderer, to_csv
from common.api.serializers import checked, represent_all
from common.api.views import PagedViewSet, in_request_thread
from common.limits import limits


class CsvPages(KeysetPagination):
    """Large pages; the next one is in the header `Link`."""

    def limit_of(self, request: Request) -> int:
        """Return the number of rows of a page."""
        return page_limit(request.query_params, default=limits().audit_rows, most=limits().audit_rows)


@extend_schema(tags=["audit"])
class AuditViewSet(PagedViewSet):
    """The audit log."""

    required_rights = {"list": Right.READ}

    serializer_class = AuditEntryResponse
    renderer_classes = (JSONRenderer, CsvRenderer)
    ordering = ("-at", "-id")

    @extend_schema(
        operation_id="audit_list",
        parameters=[AuditFilters],
        responses={200: AuditEntryResponse(many=True), (200, CsvRenderer.media_type): OpenApiTypes.STR},
    )
    async def list(self, request: Request) -> Response:
        """List who did what, newest first. Staff read everything, owners what happened in their scopes."""
        if request.accepted_renderer.format == CsvRenderer.format:
            return await in_request_thread(self._csv)(request)
        select = partial(entries, reader=request.user)
        return await self.page(request, select, AuditEntryResponse, filters=AuditFilters, prepare=named)

    def _csv(self, request: Request) -> Response:
        """Return one large page, and record that it was taken."""
        values = checked(AuditFilters, request.query_params)
        pages = CsvPages()
        rows = pages.paginate_queryset(entries(reader=request.user, **values), request, view=self)
        shown: list[dict[str, Any]] = list(represent_all(AuditEntryResponse, named(rows)))
        text = to_csv([*AuditEntryResponse().fields], shown)
        record_read(Act.AUDIT_EXPORT, "audit", root_id=_root_of(request, values))
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "X-Content-Type-Options": "nosniff"}
        if pages.next_cursor is not None:
            following = replace_query_param(request.get_full_path(), "cursor", pages.next_cursor)
            headers["Link"] = f'<{following}>; rel="next"'
        return Response(text, headers=headers)


def _root_of(request: Request, values: dict[str, Any]) -> UUID | None:
    """Return the root scope whose entries were asked for; None: all that the reader may read."""
    if "scope_id" not in values:
        return None
    return readable_root(request.user, scope_type=values["scope_type"], scope_key=values["scope_id"])
