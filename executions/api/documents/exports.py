"""The documents of an execution as one file."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.audit import Act, record_read
from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right
from common.api.renderers import SANDBOX, file_renderer
from common.api.views import ApiView, in_request_thread
from documents.downloads import write_source
from documents.rendering.formats import FORMATS, file_name
from executions.api.openapi import problems
from executions.selectors.exports import export_of

_RENDERERS = [file_renderer(name, kind.media_type) for name, kind in FORMATS.items()]
_TEXTS = frozenset({"markdown", "html"})
_FILES: dict[Any, Any] = {
    (200, each.media_type): OpenApiTypes.STR if each.format in _TEXTS else OpenApiTypes.BINARY for each in _RENDERERS
}
_FORMAT = OpenApiParameter(
    "format",
    {"type": "string", "enum": list(FORMATS)},
    OpenApiParameter.QUERY,
    description="The format, like a media type in `Accept`; without both it is Markdown.",
)


class ExecutionExportView(ApiView):
    """The documents of an execution as one file."""

    required_rights = {"get": Right.READ}

    renderer_classes = _RENDERERS

    @extend_schema(
        tags=["executions"],
        operation_id="executions_export",
        parameters=[
            OpenApiParameter("execution_id", OpenApiTypes.UUID, OpenApiParameter.PATH),
            _FORMAT,
            IF_NONE_MATCH,
        ],
        responses={**_FILES, **NOT_MODIFIED, **problems(401, 404, 409, 410, 503)},
    )
    async def get(self, request: Request, execution_id: str) -> Response:
        """Download the final documents of an execution as one file, in the order of its steps."""
        return await in_request_thread(_export)(request, UUID(execution_id))

    def finalize_response(self, request: Request, response: Response, *arguments: Any, **options: Any) -> Response:
        """Return the response; a download is recorded when it is clear that it is sent."""
        final: Response = super().finalize_response(request, response, *arguments, **options)
        record = getattr(final, "record", None)
        if request.method == "GET" and record is not None:
            final.add_post_render_callback(lambda sent: record() if sent.status_code == 200 else None)
        return final


def _export(request: Request, execution_id: UUID) -> Response:
    name = request.accepted_renderer.format
    with export_of(user=request.user, execution_id=execution_id, name=name) as export:
        made = write_source(export.source, name, house=export.house)
    disposition = f'attachment; filename="{file_name(export.source)}.{FORMATS[name].extension}"'
    response = Response(made, headers={"ETag": f'"{export.version}"', "Content-Disposition": disposition, **SANDBOX})
    response.record = partial(  # type: ignore[attr-defined]
        record_read, Act.EXECUTION_EXPORT, "execution", execution_id, root_id=export.root_id, version=export.version
    )
    return response
