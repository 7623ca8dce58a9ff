"""Endpoints of files: upload, details, download and deletion."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import partial
from os.path import splitext
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, QueryDict
from django.urls import reverse
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.openapi import IF_NONE_MATCH, NOT_MODIFIED
from access.permissions import Right
from common.api.serializers import TimestampField, represent
from common.api.views import ONLY_VERSION, ApiView, in_request_thread
from common.database.connections import give_back
from common.database.server import database_now
from common.errors import FieldError, Invalid
from documents.extraction.results import Extraction
from documents.files import storage
from documents.files.reader import check_size, read_file, turn
from executions.api.openapi import RUNS_ONCE, problems

_ID = OpenApiParameter("file_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_PART = "file"
_MAX_NAME = 255  # characters
#: For a browser that shows the file in spite of `attachment`.
_POLICY = "sandbox; default-src 'none'"


@extend_schema_field(OpenApiTypes.BINARY)
class BytesField(serializers.FileField):
    """The bytes of a file."""


class FileUpload(serializers.Serializer[Any]):
    """A form with one part."""

    file = BytesField(help_text="The file, with its name.")


class FileDetails(serializers.Serializer[Any]):
    """A file without its text."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    type = serializers.CharField(source="media_type", help_text="Media type, by content.")
    sha256 = serializers.CharField(source="content_id", help_text="Of the bytes, in hex.")
    title = serializers.CharField(allow_blank=True, help_text="From the file's own properties; empty without one.")
    pages = serializers.IntegerField(allow_null=True, help_text="Pages of a PDF; null for other files.")
    characters = serializers.IntegerField(help_text="Characters of the text that was found.")
    notes = serializers.ListField(child=serializers.CharField(), help_text="What was found and not read.")
    created_at = TimestampField()
    scope_type = serializers.CharField(source="scope.type", default=None, allow_null=True, help_text="null: not used.")
    scope_id = serializers.CharField(source="scope.key", default=None, allow_null=True, help_text="null: not used.")


@extend_schema(tags=["files"])
class FilesView(ApiView):
    """Uploads."""

    required_rights = {"post": Right.ANSWER}
    on_loop = frozenset({"post"})  # a process reads the file

    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="files_create",
        request={MultiPartParser.media_type: FileUpload},
        parameters=RUNS_ONCE,
        responses={201: FileDetails, **problems(400, 401, 409, 413, 415, 422, 503)},
    )
    async def post(self, request: Request) -> Response:
        """Upload a file. Its text is read at once; only you see the file until it is used."""
        name, file = await in_request_thread(_uploaded)(request)
        check_size(file.size or 0, name=name)
        await in_request_thread(give_back)()  # while this waits for its turn and for the text
        async with turn():  # before the file is in memory, and until it is stored
            data = await in_request_thread(file.read)()
            extraction = await read_file(data, name=name)
            return await in_request_thread(_store)(request, name, data=data, extraction=extraction)


@extend_schema(tags=["files"])
class FileView(ApiView):
    """One file."""

    required_rights = {"get": Right.READ, "delete": Right.ANSWER}

    @extend_schema(
        operation_id="files_retrieve",
        parameters=[_ID, IF_NONE_MATCH],
        responses={200: FileDetails, **NOT_MODIFIED, **problems(400, 401, 404)},
    )
    async def get(self, request: Request, file_id: str) -> Response:
        """Get what is known of a file."""
        row = await in_request_thread(storage.find_file)(user=request.user, file_id=UUID(file_id))
        return Response(represent(FileDetails, row), headers={"ETag": ONLY_VERSION})

    @extend_schema(
        operation_id="files_destroy",
        parameters=[_ID],
        responses={204: None, **problems(401, 404, 409)},
    )
    async def delete(self, request: Request, file_id: str) -> Response:
        """Delete a file that is not used."""
        await in_request_thread(storage.delete_file)(user=request.user, file_id=UUID(file_id))
        return Response(status=204)


@extend_schema(tags=["files"])
class FileContentView(ApiView):
    """The bytes of a file."""

    required_rights = {"get": Right.READ}

    @extend_schema(
        operation_id="files_content",
        parameters=[_ID],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY, **problems(401, 404)},
    )
    async def get(self, request: Request, file_id: str) -> HttpResponse:
        """Download a file as it was uploaded."""
        row, data = await in_request_thread(partial(storage.read_content, user=request.user))(file_id=UUID(file_id))
        response = HttpResponse(data, content_type="application/octet-stream")
        response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=row.name)
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = _POLICY
        response["Cache-Control"] = "private, no-store"
        return response


def _store(request: Request, name: str, *, data: bytes, extraction: Extraction) -> Response:
    user = authenticated_user(request)

    def store() -> Response:
        row = storage.store_file(user=user, name=name, data=data, extraction=extraction, now=database_now())
        location = reverse("file-detail", kwargs={"file_id": row.id})
        return Response(represent(FileDetails, row), status=201, headers={"Location": location})

    def recheck(stored: dict[str, Any]) -> None:
        storage.find_file(user=user, file_id=UUID(str(stored["id"])))

    body = {"name": name, "sha256": hashlib.sha256(data).hexdigest()}
    return run_once(request, store, recheck=recheck, body=body)


def _uploaded(request: Request) -> tuple[str, UploadedFile]:
    """Return the name of the uploaded file, and the file, which can be on disk.

    Raises:
        Invalid: the form has other parts than one file.
    """
    form = request.data  # a request without a body has a plain dict
    parts = [(name, each) for name, values in form.lists() for each in values] if isinstance(form, QueryDict) else []
    if len(parts) != 1 or parts[0][0] != _PART or not isinstance(parts[0][1], UploadedFile):
        detail = f"Send a form with exactly one part, named {_PART!r}, that is a file with a name."
        raise Invalid(detail, [FieldError(pointer=f"/{_PART}", code="one_file", detail=detail)])
    file = parts[0][1]
    return _normalized(file.name or _PART), file


def _normalized(name: str) -> str:
    """Return a name in Unicode's form NFC. A name that becomes too long loses the end of its stem."""
    stem, extension = splitext(unicodedata.normalize("NFC", name))
    extension = extension[:_MAX_NAME]
    return stem[: _MAX_NAME - len(extension)] + extension
