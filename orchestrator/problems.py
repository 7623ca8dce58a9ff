"""Errors as RFC 9457 problem details, the same shape for all: `application/problem+json`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TypeVar

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.views import defaults
from psycopg.errors import QueryCanceled
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from common.database.errors import ErrorKind, error_kind, is_transient
from common.limits import MAX_ERRORS
from executions.engine.domain.errors import (
    BudgetExceeded,
    Conflict,
    DatabaseUnavailable,
    EngineError,
    Invalid,
    NotFound,
    StaleFencingToken,
)

CONTENT_TYPE = "application/problem+json"
MAX_CHARACTERS = 1_000  # of a text in a problem; the rest is cut off

Answer = TypeVar("Answer", bound=HttpResponse)

#: What each kind of anticipated failure means in HTTP; the first that fits counts.
STATUS: tuple[tuple[type[EngineError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (StaleFencingToken, 409),
    (Invalid, 422),
    (BudgetExceeded, 402),
    (DatabaseUnavailable, 503),
)


class TooLarge(exceptions.APIException):
    """A request body over the limit."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "too-large"


class DatabaseAway(exceptions.APIException):
    """The database cannot be reached, or has no connection free."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database cannot be reached now; try again."
    default_code = DatabaseUnavailable.code
    wait = 2


class ReadTooSlow(exceptions.APIException):
    """A request that only reads, and for which the database would need too long."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database takes too long for this. Ask for less: a shorter span, fewer groups or a filter."
    default_code = "read-too-slow"


def problem_handler(exc: Exception, context: Mapping[str, object]) -> Response | None:
    """Turn an anticipated exception into a problem; leave a bug to be a 500."""
    request = context.get("request")
    if isinstance(exc, EngineError):
        status = next((code for kind, code in STATUS if isinstance(exc, kind)), 500)
        faults = exc.errors if isinstance(exc, Invalid) else []
        listed = [each.model_dump() for each in faults[:MAX_ERRORS]]
        return _respond(
            request, status, code=exc.code, detail=str(exc), errors=listed, error_count=len(faults), extra=exc.context
        )
    exc = _as_api_exception(exc)
    if not isinstance(exc, exceptions.APIException):
        return None
    if isinstance(exc, exceptions.ValidationError):
        detail = "The request has values that cannot be right."
        found = _field_errors(exc.detail, ())
        count = _count(exc.detail) + getattr(exc, "omitted", 0)
        return _respond(request, 422, code="invalid", detail=detail, errors=found, error_count=count)
    errors = getattr(exc, "errors", [])
    response = _respond(
        request,
        exc.status_code,
        code=_code(exc),
        detail=str(exc.detail),
        errors=errors,
        error_count=getattr(exc, "error_count", len(errors)),
    )
    return _with_headers(response, exc)


def _with_headers(response: Answer, exc: exceptions.APIException) -> Answer:
    for header, value in (("WWW-Authenticate", "auth_header"), ("Retry-After", "wait")):
        if (given := getattr(exc, value, None)) is not None:
            response[header] = str(given)
    return response


def _as_api_exception(exc: Exception) -> Exception:
    """Return refusals of Django and the database as those of Django REST framework; others as they are."""
    if is_transient(exc):
        return _as_outage(exc)
    meant: dict[type[Exception], type[exceptions.APIException]] = {
        Http404: exceptions.NotFound,
        PermissionDenied: exceptions.PermissionDenied,
        RequestDataTooBig: TooLarge,
    }
    return next((to() for kind, to in meant.items() if isinstance(exc, kind)), exc)


def _as_outage(exc: Exception) -> exceptions.APIException:
    if isinstance(exc.__cause__, QueryCanceled):
        return ReadTooSlow()
    if error_kind(exc) is ErrorKind.READ_ONLY:
        return DatabaseAway("The database takes no changes now; try again.")
    return DatabaseAway()


def _code(exc: exceptions.APIException) -> str:
    return str(exc.get_codes()).replace("_", "-")


def _field_errors(detail: object, path: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield one entry per wrong value, with its RFC 6901 pointer."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            yield from _field_errors(inner, path if key == "non_field_errors" else (*path, str(key)))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            yield from _field_errors(inner, (*path, str(index)) if nested else path)
    else:
        pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
        yield {"pointer": pointer, "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}


def _count(detail: object) -> int:
    """Return how many values are wrong."""
    if isinstance(detail, Mapping | list):
        return sum(map(_count, detail.values() if isinstance(detail, Mapping) else detail))
    return 1


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def problem_body(
    *,
    status: int,
    code: str,
    detail: str,
    instance: str,
    request_id: str,
    errors: Iterable[Mapping[str, str]] = (),
    error_count: int = 0,
) -> dict[str, object]:
    """Return a problem's members: of its errors the first ones, and how many there are."""
    return {
        "type": f"urn:scriptorium:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _cut(detail),
        "instance": instance,
        "code": code,
        "errors": [
            {name: _cut(text) for name, text in error.items()} for error in itertools.islice(errors, MAX_ERRORS)
        ],
        "error_count": error_count,
        "request_id": request_id,
    }


def _respond(
    request: object,
    status: int,
    *,
    code: str,
    detail: str,
    errors: Iterable[Mapping[str, str]] = (),
    error_count: int = 0,
    extra: Mapping[str, object] | None = None,
) -> Response:
    path = request.path if isinstance(request, Request | HttpRequest) else ""
    body = problem_body(
        status=status,
        code=code,
        detail=detail,
        instance=path,
        request_id=getattr(request, "request_id", ""),
        errors=errors,
        error_count=error_count,
    )
    return Response({**(extra or {}), **body}, status=status, content_type=CONTENT_TYPE)


def django_problem(request: HttpRequest, status: int, *, code: str, detail: str) -> HttpResponse:
    """Return a problem for errors that never reach Django REST framework."""
    body = problem_body(
        status=status, code=code, detail=detail, instance=request.path, request_id=getattr(request, "request_id", "")
    )
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def refusal(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Answer a request of a page that has to wait, with a sentence; None: something else is wrong with it."""
    exc = _as_api_exception(exception)
    if not isinstance(exc, exceptions.APIException) or exc.status_code not in {429, 503}:
        return None
    return refused(request, exc)


def refused(request: HttpRequest, exc: exceptions.APIException) -> HttpResponse:
    """Answer that a request has to wait: of the API with a problem, of a page with a sentence."""
    if _is_api(request):
        return _with_headers(django_problem(request, exc.status_code, code=_code(exc), detail=str(exc.detail)), exc)
    said = {"title": HTTPStatus(exc.status_code).phrase, "detail": exc.detail, "path": request.path}
    return _with_headers(HttpResponse(render_to_string("console/refused.html", said), status=exc.status_code), exc)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer an unknown path."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return django_problem(request, 404, code="not-found", detail="There is nothing at this path.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Answer after a bug, without a word about its inside."""
    if not _is_api(request):
        return defaults.server_error(request)
    return django_problem(request, 500, code="internal", detail="Something went wrong here; the log has it by this id.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer a request that Django refused: an unknown host, a suspicious value, too large a form."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return django_problem(request, 413, code=TooLarge.default_code, detail=TooLarge.default_detail)
    return django_problem(request, 400, code="bad-request", detail="The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Answer what may not be done."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return django_problem(request, 403, code="forbidden", detail="You may not do this.")


def unsupported_body(request: HttpRequest, detail: str) -> HttpResponse:
    """Answer a body that is not read here: 415."""
    if not _is_api(request):
        return HttpResponse(detail, status=415, content_type="text/plain")
    code = exceptions.UnsupportedMediaType.default_code.replace("_", "-")
    return django_problem(request, 415, code=code, detail=detail)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
