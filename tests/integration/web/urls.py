"""Views that fail in every way, and a paged list, under the path of the API."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from adrf.views import APIView as AsyncAPIView
from adrf.viewsets import ViewSet as AsyncViewSet
from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from access.user import User
from common.api.pagination import KeysetPagination
from common.api.views import PagedViewSet
from common.errors import FieldError, NotFound, PreconditionFailed, VersionConflict
from executions.engine.domain import errors

FAILURES: dict[str, Exception] = {
    "not-found": NotFound("There is no such execution."),
    "illegal": errors.IllegalTransition("step a", current="completed", wanted="running"),
    "version-conflict": VersionConflict("step a", expected=3),
    "superseded": errors.StaleFencingToken(UUID(int=1), fencing_token=2),
    "unavailable": errors.DatabaseUnavailable("The database cannot be reached."),
    "invalid": errors.InvalidAnswers(
        "Answers that do not fit.",
        [FieldError(pointer="/answers/q1", code="choice", detail="Not a valid choice.")],
    ),
    "precondition": PreconditionFailed(),
    "http404": Http404(),
    "denied": PermissionDenied(),
    "drf-denied": exceptions.PermissionDenied(),
    "database": OperationalError("connection to host db.internal with password hunter2 failed"),
    "bug": RuntimeError("hunter2 at /srv/secret.py"),
}


class Raising(AsyncAPIView):
    permission_classes = [AllowAny]

    async def get(self, request: Request, kind: str) -> Response:
        raise FAILURES[kind]


class Inner(serializers.Serializer[Any]):
    name = serializers.CharField()


class Body(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=1)
    items = Inner(many=True)
    odd = serializers.DictField(child=serializers.IntegerField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["count"] != len(attrs["items"]):
            raise serializers.ValidationError("count and items differ", code="differ")
        return attrs


class Checking(AsyncAPIView):
    permission_classes = [AllowAny]

    async def post(self, request: Request) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(body.validated_data)


class Private(AsyncAPIView):
    async def get(self, request: Request) -> Response:
        return Response({"name": request.user.get_username(), "request_id": request._request.request_id})  # type: ignore[attr-defined]


class Never(BaseThrottle):
    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 7


class Throttled(AsyncAPIView):
    permission_classes = [AllowAny]
    throttle_classes = [Never]

    async def get(self, request: Request) -> Response:
        return Response({})


class UserSerializer(serializers.Serializer[User]):
    username = serializers.CharField()


class People(PagedViewSet):
    """In the order of their joining, newest first."""

    permission_classes = [AllowAny]
    ordering = ("-date_joined", "-id")

    async def list(self, request: Request) -> Response:
        return await self.page(request, User.objects.all, UserSerializer)


class Names(AsyncViewSet):
    """By two columns of different directions."""

    permission_classes = [AllowAny]
    ordering = ("first_name", "-username")

    async def list(self, request: Request) -> Response:
        def read() -> Response:
            paginator = KeysetPagination()
            rows = paginator.paginate_queryset(User.objects.all(), request, view=self)
            return paginator.get_paginated_response([row.username for row in rows])

        return await sync_to_async(read)()


def bug(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("hunter2")


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("hunter2")


urlpatterns = [
    path("api/v1/raise/<str:kind>", Raising.as_view()),
    path("api/v1/check", Checking.as_view()),
    path("api/v1/private", Private.as_view()),
    path("api/v1/throttled", Throttled.as_view()),
    path("api/v1/people", People.as_view({"get": "list"})),
    path("api/v1/names", Names.as_view({"get": "list"})),
    path("api/v1/bug", bug),
    path("api/v1/suspicious", suspicious),
    path("page/bug", bug),
    path("", include("console.urls")),
]
handler400 = "orchestrator.problems.bad_request"
handler403 = "orchestrator.problems.permission_denied"
handler404 = "orchestrator.problems.page_not_found"
handler500 = "orchestrator.problems.server_error"
