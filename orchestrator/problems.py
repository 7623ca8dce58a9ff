"""Errors as RFC 9457 problem details (`application/problem+json`)."""

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
MAX_CHARACTERS = 1_000  # of a text in a problem; longer texts are truncated

Answer = TypeVar("Answer", bound=HttpResponse)

#: HTTP status of each engine error; the first match applies.
STATUS: tuple[tuple[type[EngineError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (StaleFencingToken, 409),
    (Invalid, 422),
    (BudgetExceeded, 402),
    (DatabaseUnavailable, 503),
)


class TooLarge(exceptions.APIException):
    """The request body exceeds the limit."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "too-large"


class DatabaseOutage(exceptions.APIException):
    """The database is unreachable, or all connections are in use."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The database is not reachable now; try again."
    default_code = DatabaseUnavailable.code
    wait = 2


class ReadTooSlow(exceptions.APIException):
    """A read-only request exceeded the statement timeout."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_detail = "The query takes too long. Request less data: a shorter time range, fewer groups, or a filter."
    default_code = "read-too-slow"


def problem_handler(exc: Exception, context: Mapping[str, object]) -> Response | None:
    """Convert a known exception to a problem; None for a bug, which becomes a 500."""
    request = context.get("request")
    if isinstance(exc, EngineError):
        status = next((code for kind, code in STATUS if isinstance(exc, kind)), 500)
        invalid = exc.errors if isinstance(exc, Invalid) else []
        listed = [each.model_dump() for each in invalid[:MAX_ERRORS]]
        return _respond(
            request, status, code=exc.code, detail=str(exc), errors=listed, error_count=len(invalid), extra=exc.context
        )
    exc = _as_api_exception(exc)
    if not isinstance(exc, exceptions.APIException):
        return None
    if isinstance(exc, exceptions.ValidationError):
        detail = "The request has invalid values."
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
    """Convert exceptions of Django and the database to those of Django REST framework; return others unchanged."""
    if is_transient(exc):
        return _as_outage(exc)
    equivalents: dict[type[Exception], type[exceptions.APIException]] = {
        Http404: exceptions.NotFound,
        PermissionDenied: exceptions.PermissionDenied,
        RequestDataTooBig: TooLarge,
    }
    return next((to() for kind, to in equivalents.items() if isinstance(exc, kind)), exc)


def _as_outage(exc: Exception) -> exceptions.APIException:
    if isinstance(exc.__cause__, QueryCanceled):
        return ReadTooSlow()
    if error_kind(exc) is ErrorKind.READ_ONLY:
        return DatabaseOutage("The database is read-only now; try again.")
    return DatabaseOutage()


def _code(exc: exceptions.APIException) -> str:
    return str(exc.get_codes()).replace("_", "-")


def _field_errors(detail: object, path: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield one entry per invalid value, with its RFC 6901 pointer."""
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
    """Return the number of invalid values."""
    if isinstance(detail, Mapping | list):
        return sum(map(_count, detail.values() if isinstance(detail, Mapping) else detail))
    return 1


def _truncate(text: str) -> str:
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
    """Return the members of a problem, with the first errors and the number of all errors."""
    return {
        "type": f"urn:scriptorium:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _truncate(detail),
        "instance": instance,
        "code": code,
        "errors": [
            {name: _truncate(text) for name, text in error.items()} for error in itertools.islice(errors, MAX_ERRORS)
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
    """Return a problem for errors outside of Django REST framework."""
    body = problem_body(
        status=status, code=code, detail=detail, instance=request.path, request_id=getattr(request, "request_id", "")
    )
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def retry_later_response_for(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Return the response for an exception with status 429 or 503; None for other exceptions."""
    exc = _as_api_exception(exception)
    if not isinstance(exc, exceptions.APIException) or exc.status_code not in {429, 503}:
        return None
    return retry_later_response(request, exc)


def retry_later_response(request: HttpRequest, exc: exceptions.APIException) -> HttpResponse:
    """Return a 429 or 503: a problem for the API, an HTML page otherwise."""
    if _is_api(request):
        return _with_headers(django_problem(request, exc.status_code, code=_code(exc), detail=str(exc.detail)), exc)
    context = {"title": HTTPStatus(exc.status_code).phrase, "detail": exc.detail, "path": request.path}
    return _with_headers(HttpResponse(render_to_string("console/refused.html", context), status=exc.status_code), exc)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to an unknown path."""
    if not _is_api(request):
        return defaults.page_not_found(request, exception)
    return django_problem(request, 404, code="not-found", detail="There is nothing at this path.")


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Respond after a bug, without internal details."""
    if not _is_api(request):
        return defaults.server_error(request)
    return django_problem(
        request, 500, code="internal", detail="Internal error; the server's log has the details under this request_id."
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to a request that Django rejected: an unknown host, a suspicious value, a form that is too large."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return django_problem(request, 413, code=TooLarge.default_code, detail=TooLarge.default_detail)
    return django_problem(request, 400, code="bad-request", detail="The request is invalid.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to a forbidden action."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return django_problem(request, 403, code="forbidden", detail="You may not do this.")


def unsupported_body(request: HttpRequest, detail: str) -> HttpResponse:
    """Respond to an unsupported body with 415."""
    if not _is_api(request):
        return HttpResponse(detail, status=415, content_type="text/plain")
    code = exceptions.UnsupportedMediaType.default_code.replace("_", "-")
    return django_problem(request, 415, code=code, detail=detail)


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
