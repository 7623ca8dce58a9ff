"""Errors as RFC 9457 problem details (`application/problem+json`).

`STATUS` maps each kind of domain error to an HTTP status; `to_problem` converts all exceptions that clients may see.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.translation import gettext, override
from django.views import defaults
from psycopg.errors import QueryCanceled
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from common.database.errors import ErrorKind, error_kind, is_transient
from common.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Gone,
    InternalError,
    Invalid,
    Malformed,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    StaleWrite,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedType,
)
from common.json_pointer import pointer
from common.limits import MAX_ERRORS
from console.language.choice import language_of_browser
from executions.engine.domain.errors import (
    AlreadyClaimed,
    BudgetExceeded,
    DatabaseUnavailable,
    ModelError,
    StaleFencingToken,
)

CONTENT_TYPE = "application/problem+json"
MAX_CHARACTERS = 1_000  # of a text in a problem; longer texts are truncated

Answer = TypeVar("Answer", bound=HttpResponse)

#: HTTP status of each kind of domain error. A subclass that is missing here has the status of its base class.
STATUS: Mapping[type[DomainError], int] = {
    Malformed: 400,
    BudgetExceeded: 402,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    StaleWrite: 409,
    StaleFencingToken: 409,
    Gone: 410,
    PreconditionFailed: 412,
    TooLarge: 413,
    UnsupportedType: 415,
    Invalid: 422,
    PreconditionRequired: 428,
    TooManyRequests: 429,
    InternalError: 500,
    AlreadyClaimed: 500,  # only workers get this error and the next one, and handle them
    ModelError: 500,
    Unavailable: 503,
}


class ReadTooSlow(Unavailable):
    """A read-only request exceeded the statement timeout."""

    code = "read-too-slow"
    sentence = "The query takes too long. Request less data: a shorter time range, fewer groups, or a filter."


OUTAGE_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as clients see it."""

    status: int
    code: str
    detail: str
    errors: Iterable[Mapping[str, str | int]] = ()
    error_count: int = 0
    context: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, *, instance: str, request_id: str) -> dict[str, object]:
        """Return the members of the problem, with the first errors and the number of all errors."""
        first = itertools.islice(self.errors, MAX_ERRORS)
        return {
            **self.context,
            "type": f"urn:scriptorium:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": _truncate(self.detail),
            "instance": instance,
            "code": self.code,
            "errors": [{name: _shown(value) for name, value in error.items()} for error in first],
            "error_count": self.error_count,
            "request_id": request_id,
        }

    def add_headers(self, response: Answer) -> Answer:
        """Set the headers of the problem, and return the response."""
        for name, value in self.headers.items():
            response[name] = value
        return response


def status_of(kind: type[DomainError]) -> int:
    """Return the HTTP status of a kind of domain error."""
    return next(STATUS[each] for each in kind.__mro__ if each in STATUS)


def problem_handler(exc: Exception, context: Mapping[str, object]) -> Response | None:
    """Convert a known exception to a response; None for a bug, which becomes a 500."""
    problem = to_problem(exc)
    if problem is None:
        return None
    request = context.get("request")
    path = request.path if isinstance(request, Request | HttpRequest) else ""
    body = problem.body(instance=path, request_id=getattr(request, "request_id", ""))
    return problem.add_headers(Response(body, status=problem.status, content_type=CONTENT_TYPE))


def to_problem(exc: Exception) -> Problem | None:
    """Convert an exception of the domain, the framework or the database; None for a bug."""
    known = _replace_foreign(exc)
    if isinstance(known, DomainError):
        return problem_of(known)
    if isinstance(known, exceptions.ValidationError):
        return _of_invalid_fields(known)
    return _of_api_exception(known) if isinstance(known, exceptions.APIException) else None


def problem_of(error: DomainError) -> Problem:
    """Convert a domain error."""
    wait = error.retry_after
    return Problem(
        status=status_of(type(error)),
        code=error.code,
        detail=str(error),
        errors=(each.model_dump(exclude_none=True) for each in error.errors),
        error_count=len(error.errors),
        context=error.context,
        headers={} if wait is None else {"Retry-After": str(math.ceil(wait))},
    )


def _of_invalid_fields(error: exceptions.ValidationError) -> Problem:
    return Problem(
        status=STATUS[Invalid],
        code=Invalid.code,
        detail=Invalid.sentence,
        errors=_field_errors(error.detail, ()),
        error_count=_count(error.detail) + getattr(error, "omitted", 0),
    )


def _of_api_exception(error: exceptions.APIException) -> Problem:
    errors = getattr(error, "errors", [])
    given = {"WWW-Authenticate": getattr(error, "auth_header", None), "Retry-After": getattr(error, "wait", None)}
    return Problem(
        status=error.status_code,
        code=str(error.get_codes()).replace("_", "-"),
        detail=str(error.detail),
        errors=errors,
        error_count=getattr(error, "error_count", len(errors)),
        headers={name: str(value) for name, value in given.items() if value is not None},
    )


def _replace_foreign(exc: Exception) -> Exception:
    """Convert exceptions of Django and the database; return others unchanged."""
    if isinstance(exc, DomainError):
        return exc
    if is_transient(exc):
        return _as_outage(exc)
    equivalents: dict[type[Exception], type[Exception]] = {
        Http404: NotFound,
        PermissionDenied: exceptions.PermissionDenied,
        RequestDataTooBig: TooLarge,
    }
    return next((to() for kind, to in equivalents.items() if isinstance(exc, kind)), exc)


def _as_outage(exc: Exception) -> Unavailable:
    if isinstance(exc.__cause__, QueryCanceled):
        return ReadTooSlow()
    if error_kind(exc) is ErrorKind.READ_ONLY:
        return DatabaseUnavailable("The database is read-only now; try again.", retry_after=OUTAGE_RETRY_SECONDS)
    return DatabaseUnavailable(retry_after=OUTAGE_RETRY_SECONDS)


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
        yield {"pointer": pointer(*path), "code": str(getattr(detail, "code", "invalid")), "detail": str(detail)}


def _count(detail: object) -> int:
    """Return the number of invalid values."""
    if isinstance(detail, Mapping | list):
        return sum(map(_count, detail.values() if isinstance(detail, Mapping) else detail))
    return 1


def _shown(value: str | int) -> str | int:
    return _truncate(value) if isinstance(value, str) else value


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def django_problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Return a problem for errors outside of Django REST framework."""
    body = problem.body(instance=request.path, request_id=getattr(request, "request_id", ""))
    return problem.add_headers(JsonResponse(body, status=problem.status, content_type=CONTENT_TYPE))


def retry_later_response_for(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Return the response for an exception with status 429 or 503; None for other exceptions."""
    problem = to_problem(exception)
    return retry_later_response(request, problem) if problem is not None and problem.status in {429, 503} else None


def retry_later_response(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Return a 429 or 503: a problem for the API, an HTML page otherwise."""
    if _is_api(request):
        return django_problem(request, problem)
    with override(language_of_browser(request)):
        title = gettext(HTTPStatus(problem.status).phrase)
        context = {"title": title, "detail": gettext(problem.detail), "path": request.path}
        page = render_to_string("console/refused.html", context)
    return problem.add_headers(HttpResponse(page, status=problem.status))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to an unknown path."""
    if not _is_api(request):
        with override(language_of_browser(request)):
            return HttpResponse(render_to_string("console/no_page.html"), status=404)
    return django_problem(request, problem_of(NotFound("There is nothing at this path.")))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Respond after a bug, without internal details."""
    if not _is_api(request):
        return defaults.server_error(request)
    detail = "Internal error; the server's log has the details under this request_id."
    return django_problem(request, problem_of(InternalError(detail)))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to a request that Django rejected: an unknown host, a suspicious value, a form that is too large."""
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    error = TooLarge() if isinstance(exception, RequestDataTooBig) else Malformed()
    return django_problem(request, problem_of(error))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Respond to a forbidden action."""
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return django_problem(request, problem_of(Forbidden("You may not do this.")))


def unsupported_body(request: HttpRequest, detail: str) -> HttpResponse:
    """Respond to an unsupported body with 415."""
    if not _is_api(request):
        return HttpResponse(detail, status=STATUS[UnsupportedType], content_type="text/plain")
    return django_problem(request, problem_of(UnsupportedType(detail)))


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
