"""Endpoints of documents: reading, and commands, which tell executions and feeds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.permissions import Right
from access.selectors import require_edit
from common.api.pagination import KeysetPagination
from common.api.parsers import JSONPatchParser, StrictJSONParser
from common.api.serializers import checked, represent
from common.api.views import in_request_thread, parse_entity_tags
from common.database.server import database_now
from common.errors import PreconditionRequired, UnsupportedType
from documents import comments as remarks
from documents import views
from documents.downloads import Look
from documents.serializers import CommentResponse, DocumentDetails
from documents.staleness import Reason
from executions.api.documents.serializers import (
    AddDocumentRequest,
    CommentFilters,
    CommentRequest,
    EditDocumentRequest,
    JsonPatchOperation,
    PatchFilters,
    ResolveCommentRequest,
    RestoreDocumentRequest,
)
from executions.api.openapi import RUNS_ONCE, problems
from executions.api.views import expected_versions
from executions.selectors import staleness
from executions.selectors.document_files import accepted, look_of
from executions.selectors.executions import decisions_about, proposed_versions
from executions.services import documents as services

_JSON = StrictJSONParser.media_type
_TAGS = ["documents"]  # not of the class: its decorator would wrap inherited coroutines in functions
_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description="ETag of the document as you read it, or `*`. Without it the answer is 428, with an old one 412.",
)
_NUMBER = OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)
_IF_COMMENT_MATCHES = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Version of the comment as you read it, in double quotes, or `*`. With an old one the answer is 412.",
)
_EDITED = {200: DocumentDetails, **problems(400, 401, 403, 404, 410, 412, 413, 415, 422, 428)}


class DocumentViewSet(views.DocumentViewSet):
    """Documents."""

    required_rights = {
        **views.DocumentViewSet.required_rights,
        "create": Right.ANSWER,
        "update": Right.ANSWER,
        "partial_update": Right.ANSWER,
        "restore": Right.ANSWER,
        "comments": Right.READ,
        "add_comment": Right.ANSWER,
        "resolve_comment": Right.ANSWER,
    }
    queried = views.DocumentViewSet.queried | {"comments", "partial_update"}

    parser_classes = (StrictJSONParser, JSONPatchParser)

    @extend_schema(
        tags=_TAGS,
        request={_JSON: AddDocumentRequest},
        parameters=RUNS_ONCE,
        responses={201: DocumentDetails, **problems(400, 401, 403, 409, 410, 413, 415, 422)},
    )
    async def create(self, request: Request) -> Response:
        """Add a document that you have written. The scope has one document of each type."""

        def add(values: Mapping[str, Any]) -> Response:
            document = services.add_document(user=authenticated_user(request), now=database_now(), **values)
            response = self._details(request, document.id, None)
            response.status_code = 201
            response["Location"] = reverse("document-detail", kwargs={"pk": document.id})
            return response

        def recheck(added: Mapping[str, str]) -> None:
            require_edit(request.user, scope_type=added["scope_type"], scope_key=added["scope_id"])

        def answer() -> Response:
            _check_type(request)
            values = checked(AddDocumentRequest, request.data)
            return run_once(request, partial(add, values), recheck=recheck)

        return await in_request_thread(answer)()

    @extend_schema(
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH],
        request={_JSON: EditDocumentRequest},
        responses=_EDITED,
    )
    async def update(self, request: Request, pk: str) -> Response:
        """Replace the content. The result is one more version; earlier versions stay as they are."""

        def values() -> dict[str, Any]:
            body = dict(checked(EditDocumentRequest, request.data))
            return {"edit": services.replace_with(body.pop("content")), **body}

        return await self._edit(request, pk, command=services.edit_document, values=values)

    @extend_schema(
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH, PatchFilters],
        request={JSONPatchParser.media_type: JsonPatchOperation(many=True)},
        responses=_EDITED,
    )
    async def partial_update(self, request: Request, pk: str) -> Response:
        """Edit the content by a JSON Patch (RFC 6902): all of its operations apply, or none."""

        def values() -> dict[str, Any]:
            return {**checked(PatchFilters, request.query_params), "edit": services.patch_with(request.data)}

        return await self._edit(request, pk, command=services.edit_document, values=values)

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH, *RUNS_ONCE],
        request={_JSON: RestoreDocumentRequest},
        responses={**_EDITED, **problems(409, 410)},
    )
    @action(detail=True, methods=["post"])
    async def restore(self, request: Request, pk: str) -> Response:
        """Make the content of an earlier version the newest version."""

        def values() -> dict[str, Any]:
            return checked(RestoreDocumentRequest, request.data)

        return await self._edit(request, pk, command=services.restore_document, values=values)

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        parameters=[_ID, CommentFilters],
        responses=CommentResponse(many=True),
    )
    @action(detail=True, methods=["get"], pagination_class=KeysetPagination, parser_classes=[StrictJSONParser])
    async def comments(self, request: Request, pk: str) -> Response:
        """List a document's comments, oldest first, with the places of their passages in the newest version."""
        select = partial(remarks.comments, user=request.user, document_id=UUID(pk))
        return await self.page(
            request,
            select,
            CommentResponse,
            filters=CommentFilters,
            ordering=("number",),
            prepare=remarks.located,
        )

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        request=CommentRequest,
        parameters=[_ID, *RUNS_ONCE],
        responses={201: CommentResponse, **problems(400, 401, 403, 404, 409, 410, 413, 415, 422)},
    )
    @comments.mapping.post
    async def add_comment(self, request: Request, pk: str) -> Response:
        """Comment on a passage of a document: on a value, or on a quote within a text."""

        def add(values: Mapping[str, Any]) -> Response:
            user = authenticated_user(request)
            row = remarks.add_comment(user=user, document_id=UUID(pk), now=database_now(), **values)
            return self._comment(row, 201)

        def recheck(_: object) -> None:
            remarks.require_comment(request.user, UUID(pk))

        def answer() -> Response:
            return run_once(request, partial(add, checked(CommentRequest, request.data)), recheck=recheck)

        return await in_request_thread(answer)()

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        request=ResolveCommentRequest,
        parameters=[_ID, _NUMBER, _IF_COMMENT_MATCHES],
        responses={200: CommentResponse, **problems(400, 401, 403, 404, 409, 412, 413, 415, 422)},
    )
    @action(
        detail=True,
        methods=["patch"],
        url_path=r"comments/(?P<number>[0-9]{1,9})",
        parser_classes=[StrictJSONParser],
    )
    async def resolve_comment(self, request: Request, pk: str, number: str) -> Response:
        """Resolve a comment, or open it again."""

        def resolve() -> Response:
            row = remarks.resolve_comment(
                user=authenticated_user(request),
                document_id=UUID(pk),
                number=int(number),
                expected_versions=expected_versions(request),
                now=database_now(),
                **checked(ResolveCommentRequest, request.data),
            )
            return self._comment(row, 200)

        return await in_request_thread(resolve)()

    def _comment(self, row: Any, status: int) -> Response:
        """Return the response with a comment and its place in the newest version."""
        [found] = remarks.located([row])
        return Response(represent(CommentResponse, found), status=status, headers={"ETag": f'"{row.version}"'})

    def decided(self, row: Any) -> Sequence[str]:
        """Return what people have decided about a version, for its footer."""
        return accepted(decisions_about([row.document_id])[row.document_id], row.version)

    def look_of(self, row: Any, name: str) -> Look:
        """Return the look that the workflow of a version gives it."""
        return look_of(row, name)

    def stale_because(self, document_id: UUID) -> Sequence[Reason]:
        """Return why a document is stale."""
        return staleness.reasons_of(document_id)

    def proposed_versions(self, document_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """Return the newest proposed versions that wait for a decision."""
        return proposed_versions(document_ids)

    async def _edit(
        self, request: Request, pk: str, *, command: Callable[..., object], values: Callable[[], Mapping[str, Any]]
    ) -> Response:
        """Run a command that makes the next version, and respond with the document."""
        user, document_id = authenticated_user(request), UUID(pk)

        def act(expected: frozenset[int] | None, asked: Mapping[str, Any]) -> Response:
            told = {"expected_versions": expected, "now": database_now(), **asked}
            command(user=user, document_id=document_id, **told)
            return self._details(request, document_id, None)

        def do() -> Response:
            _check_type(request)
            if "If-Match" not in request.headers:
                raise PreconditionRequired
            expected = parse_entity_tags("If-Match", request.headers["If-Match"]).versions
            run = partial(act, expected, values())
            if request.method != "POST":
                return run()
            return run_once(request, run, recheck=lambda _: services.require_edit(user, document_id))

        return await in_request_thread(do)()


def _check_type(request: Request) -> None:
    """Check that a PATCH has a JSON Patch, and another request none.

    Raises:
        UnsupportedType: the body is of another type.
    """
    is_patch = request.content_type.partition(";")[0].strip().lower() == JSONPatchParser.media_type
    if is_patch is not (request.method == "PATCH"):
        wanted = JSONPatchParser.media_type if request.method == "PATCH" else StrictJSONParser.media_type
        raise UnsupportedType(f"Send the body as {wanted}.")
