"""Endpoints of workflows: reading, and commands of authors, which tell what they leave as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import authenticated_user
from access.idempotency import run_once
from access.permissions import Right
from access.selectors import require_author
from common.api.parsers import StrictJSONParser
from common.api.serializers import StrictSerializer, checked, represent
from common.api.views import in_request_thread
from common.database.server import database_now
from common.errors import FieldError
from executions.api.openapi import RUNS_ONCE, problems
from executions.api.serializers import EmptyRequest
from executions.api.views import expected_versions
from executions.api.workflows.parsers import PARSERS, DefinitionBody
from executions.api.workflows.serializers import CurrentVersionRequest, PublicationResponse, ValidationResponse
from executions.selectors.workflows import what_stays
from workflows import publishing, selectors, views
from workflows.definitions.definition import DefinitionError, WorkflowDefinition
from workflows.exchange.uploads import Form, Upload, read_upload
from workflows.repository import Publication
from workflows.serializers import WorkflowDetails

_MAX_FAULTS = 100
_TAGS = ["workflows"]  # not of the class: its decorator would wrap inherited coroutines in functions
_JSON = StrictJSONParser.media_type
_ID = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="ETag of the workflow as you read it, or `*`. With an old one the answer is 412.",
)
_DEFINITION: dict[str, Any] = {
    "application/json": {
        "type": "object",
        "required": [name for name, field in WorkflowDefinition.model_fields.items() if field.is_required()],
        "properties": {
            name: {"description": field.description} for name, field in WorkflowDefinition.model_fields.items()
        },
        "additionalProperties": False,
    },
    "application/yaml": OpenApiTypes.STR,
    "application/zip": OpenApiTypes.BINARY,
}
_CHANGED = problems(400, 401, 403, 404, 409, 412, 413, 415, 422)


class WorkflowViewSet(views.WorkflowViewSet):
    """Workflows."""

    required_rights = {
        **views.WorkflowViewSet.required_rights,
        "create": Right.AUTHOR,
        "validate": Right.AUTHOR,
        "current": Right.AUTHOR,
        "destroy": Right.AUTHOR,
        "restore": Right.AUTHOR,
    }
    parser_classes = PARSERS

    @extend_schema(
        tags=_TAGS,
        request=_DEFINITION,
        parameters=[_IF_MATCH, *RUNS_ONCE],
        responses={
            200: PublicationResponse,
            201: PublicationResponse,
            **problems(400, 401, 403, 409, 412, 413, 415, 422),
        },
    )
    async def create(self, request: Request) -> Response:
        """Publish a definition: JSON, YAML, or the folder as zip. It becomes the current version.

        201: a new version. 200: the content is that of the current version, or of an older one, which is current again.
        Executions that run keep their version, and questions that wait stay.
        """

        def answer() -> Response:
            require_author(request.user)
            expected = expected_versions(request)
            upload = _read(request)
            return run_once(
                request,
                partial(_publish, request, upload, expected),
                recheck=lambda _: require_author(request.user),
                body={"id": upload.definition.id, "content": upload.definition.content_hash()},
            )

        return await in_request_thread(answer)()

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        operation_id="workflows_validate",
        request=_DEFINITION,
        responses={200: ValidationResponse, **problems(400, 401, 403, 413, 415)},
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    async def validate(self, request: Request) -> Response:
        """Check a definition as publishing does, and store nothing. Each fault has its file and line."""

        def answer() -> Response:
            require_author(request.user)
            try:
                upload = _read(request)
                publishing.require_house(upload.definition, upload.house)
            except DefinitionError as error:
                return Response(represent(ValidationResponse, _invalid(error)))
            found: dict[str, Any] = {"valid": True, "errors": [], "error_count": 0}
            return Response(represent(ValidationResponse, {**found, "advice": publishing.advice(upload.definition)}))

        return await in_request_thread(answer)()

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH, *RUNS_ONCE],
        request={_JSON: CurrentVersionRequest},
        responses={200: WorkflowDetails, **_CHANGED},
    )
    @action(detail=True, methods=["post"], parser_classes=[StrictJSONParser])
    async def current(self, request: Request, pk: str) -> Response:
        """Make a published version the current one, which is the default of starts."""
        make_current = partial(publishing.make_current, now=database_now())
        return await _change(request, pk, make_current, form=CurrentVersionRequest)

    @extend_schema(
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH],
        responses={204: None, **problems(400, 401, 403, 404, 412)},
    )
    async def destroy(self, request: Request, pk: str) -> Response:
        """Retire a workflow: its executions go on, and new starts get 410. `restore` brings it back."""

        def act() -> Response:
            selectors.current(pk)  # 404 comes before 403: every user may know which workflows exist
            publishing.retire(
                pk,
                by=authenticated_user(request),
                now=database_now(),
                expected_versions=expected_versions(request),
            )
            return Response(status=204)

        return await in_request_thread(act)()

    @extend_schema(  # type: ignore[type-var]
        tags=_TAGS,
        parameters=[_ID, _IF_MATCH, *RUNS_ONCE],
        request=None,
        responses={200: WorkflowDetails, **_CHANGED},
    )
    @action(detail=True, methods=["post"], parser_classes=[StrictJSONParser])
    async def restore(self, request: Request, pk: str) -> Response:
        """Bring a retired workflow back."""
        return await _change(request, pk, publishing.restore, form=EmptyRequest)


async def _change(
    request: Request, workflow_id: str, act: Callable[..., None], *, form: type[StrictSerializer]
) -> Response:
    """Run a command on a workflow once, with the values of its body, and respond with the workflow after it."""

    def do(values: Mapping[str, Any]) -> Response:
        act(workflow_id, by=authenticated_user(request), expected_versions=expected_versions(request), **values)
        row = selectors.current(workflow_id)
        return Response(represent(WorkflowDetails, row), headers={"ETag": f'"{row.version}"'})

    def answer() -> Response:
        selectors.current(workflow_id)  # 404 comes before 403: every user may know which workflows exist
        require_author(request.user)
        values = checked(form, request.data)
        return run_once(request, partial(do, values), recheck=lambda _: require_author(request.user))

    return await in_request_thread(answer)()


def _read(request: Request) -> Upload:
    """Return the definition in the body.

    Raises:
        DefinitionError: it is not valid.
    """
    body: Any = request.data
    if not isinstance(body, DefinitionBody):  # no body, and no type
        body = DefinitionBody(b"", Form.JSON)
    return read_upload(body.data, body.form)


def _publish(request: Request, upload: Upload, expected: frozenset[int] | None) -> Response:
    user, definition = authenticated_user(request), upload.definition
    published = publishing.publish(
        definition, by=user, now=database_now(), house=upload.house, expected_versions=expected
    )
    told = {
        "id": definition.id,
        "name": definition.name,
        "version": published.version,
        "outcome": published.outcome,
        "previous_version": published.previous_version,
        "retired_at": published.retired_at,
        "stays": what_stays(user=user, workflow_id=definition.id),
        "advice": publishing.advice(definition),
    }
    location = reverse("workflow-version", kwargs={"pk": definition.id, "number": published.version})
    return Response(
        represent(PublicationResponse, told),
        status=201 if published.outcome is Publication.NEW else 200,
        headers={"ETag": f'"{published.version}"', "Location": location},
    )


def _invalid(error: DefinitionError) -> dict[str, Any]:
    return {
        "valid": False,
        "errors": [_fault(each) for each in error.errors[:_MAX_FAULTS]],
        "error_count": len(error.errors),
        "advice": [],
    }


def _fault(error: FieldError) -> dict[str, Any]:
    return {"file": None, "line": None, **error.model_dump()}
