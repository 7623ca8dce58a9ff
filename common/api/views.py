"""Base classes of API views: body parsing off the event loop, conditional requests and paged lists.

Conditional requests (RFC 9110, section 13): a view sets its `ETag` to the version. The response carries
`"<version>.<digest of the body>"`, because the body may change while the version stays the same; the cost of an
execution is an example. `If-Match` compares the versions only, and accepts `"<version>"` too.

A request crosses to a thread once: its view runs there, from authentication to the body of the response. A view is an
asynchronous function, which calls what waits for the database by `in_request_thread`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar

from adrf.views import APIView
from adrf.viewsets import GenericViewSet
from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from common.api.serializers import ListedChoiceField, StrictSerializer, checked, represent_all
from common.database.connections import giving_back, is_served, marked_as_given_back
from common.errors import Malformed

#: Form of an id in a path; other paths get 404.
UUID_PATTERN = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,(?:[ \t]*,)*[ \t]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r'"([1-9][0-9]{0,9})(?:\.[^"]*)?"')
_DIGEST_BYTES = 12
#: Version in the entity tag of what has no versions; the digest tells whether it has changed.
ONLY_VERSION = '"1"'
#: Headers of requests on which a response with an entity tag depends.
_VARY = ("Accept", "Authorization", "Cookie")


class BadPrecondition(Malformed):
    """A conditional header that contains no valid entity tags."""

    code = "bad-precondition"


@dataclass(frozen=True, slots=True)
class EntityTags:
    """Value of a conditional header: entity tags as the client sent them, or any (`*`)."""

    tags: frozenset[str] = frozenset()
    is_any: bool = False

    @property
    def versions(self) -> frozenset[int] | None:
        """Versions of the strong tags, None for `*`. A weak tag never matches in `If-Match`."""
        if self.is_any:
            return None
        return frozenset(int(found[1]) for found in map(_VERSION.fullmatch, self.tags) if found)

    def matches(self, tag: str) -> bool:
        """Return whether the header contains a tag, by weak comparison."""
        return self.is_any or tag.removeprefix("W/") in {each.removeprefix("W/") for each in self.tags}


def parse_entity_tags(header: str, value: str) -> EntityTags:
    """Parse the value of a conditional header.

    Raises:
        BadPrecondition: the value contains no valid entity tags.
    """
    if value.strip() == "*":
        return EntityTags(is_any=True)
    if not _TAGS.fullmatch(value):
        raise BadPrecondition(f'{header} takes entity tags in double quotes, such as "4", separated by commas, or *.')
    return EntityTags(frozenset(re.findall(_TAG, value)))


def add_etag(response: Response) -> None:
    """Append a digest of the rendered body to the entity tag of a response."""
    digest = hashlib.blake2b(response.content, digest_size=_DIGEST_BYTES).hexdigest()
    response["ETag"] = f'{response["ETag"][:-1]}.{digest}"'


def make_not_modified(response: Response) -> None:
    """Turn a response into 304 without a body."""
    response.status_code = 304
    response.content = b""
    for header in ("Content-Type", "Content-Length"):
        response.headers.pop(header, None)


Given = ParamSpec("Given")
Result = TypeVar("Result")
_is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)


def in_request_thread(function: Callable[Given, Result]) -> Callable[Given, Awaitable[Result]]:
    """Return an asynchronous function that calls a function in a thread: in this one, if the whole view runs in it."""

    async def call(*arguments: Given.args, **options: Given.kwargs) -> Result:
        if _is_inside.get():
            return function(*arguments, **options)
        return await sync_to_async(giving_back(function))(*arguments, **options)

    return call


async def run_in_one_thread(function: Callable[[], Result]) -> Result:
    """Call a function in the thread of a request, in which `in_request_thread` calls at once."""

    @giving_back
    def run() -> Result:
        token = _is_inside.set(True)
        try:
            return function()
        finally:
            _is_inside.reset(token)

    return await sync_to_async(run)()


def complete(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that awaits nothing but functions of `in_request_thread`.

    Raises:
        RuntimeError: it awaits something else, which needs an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    coroutine.close()
    raise RuntimeError("The view waits on the event loop, and is not named in `on_loop`.")


SAFE_METHODS = frozenset({"GET", "HEAD"})
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class ApiMixin:
    """Answers a request in one thread, so that neither a large body nor the database blocks the event loop.

    A response with an entity tag becomes 304 if the client has that version already. A query parameter that the
    operation does not know is refused.
    """

    #: Actions that check their own query, or methods of a view without actions. The others take no parameters but the
    #: `format` of a view with several renderers.
    queried: frozenset[str] = frozenset()

    http_method_names = ("get", "post", "put", "patch", "delete", "head")  # OPTIONS has nothing to say
    #: Actions or methods that wait for more than functions of `in_request_thread`. The others run in one thread.
    on_loop: frozenset[str] = frozenset()
    _known_to_client = EntityTags()

    async def async_dispatch(self, request: HttpRequest, *arguments: Any, **options: Any) -> HttpResponseBase:
        """Answer a request in one thread: authentication, the view, and the body of the response."""
        if self._name_of(request) in self.on_loop:
            awaited: HttpResponseBase = await super().async_dispatch(request, *arguments, **options)  # type: ignore[misc]
            return awaited
        answer = partial(self._answer, request, *arguments, **options)
        response = marked_as_given_back(await run_in_one_thread(answer))
        if isinstance(response, Response) and is_served():  # no client of tests
            response.render = _no_more_work(response)  # type: ignore[method-assign]  # Django awaits it without a thread
        return response

    def _name_of(self, request: HttpRequest | Request) -> str:
        """Return the name of the action, or of the method."""
        method = str(request.method).lower()
        name: str = getattr(self, "action_map", {}).get(method, "get" if method == "head" else method)
        return name

    def _answer(self, given: HttpRequest, *arguments: Any, **options: Any) -> HttpResponseBase:
        """Answer a request in this thread, as `dispatch` of Django REST framework does, and render the response."""
        view: Any = self
        view.args, view.kwargs = arguments, options
        view.request = request = view.initialize_request(given, *arguments, **options)
        view.headers = view.default_response_headers
        try:
            self.initial(request, *arguments, **options)
            method = request.method.lower()
            handler = getattr(self, method, None) if method in self.http_method_names else None
            response = complete((handler or _refuse_method)(request, *arguments, **options))
        except Exception as error:  # noqa: BLE001 - it becomes a problem, or is raised again
            response = view.handle_exception(error)
        final: HttpResponseBase = self.finalize_response(request, response, *arguments, **options)
        view.response = final
        return final.render() if isinstance(final, Response) else final

    def initial(self, request: Request, *arguments: Any, **options: Any) -> None:
        """Authenticate the caller, then check the query and parse the body.

        Raises:
            APIException: the caller lacks the permission, or the query or the body is invalid.
            BadPrecondition: `If-None-Match` contains no valid entity tags.
        """
        begin = self._begin if _is_inside.get() else giving_back(self._begin)
        begin(request, *arguments, **options)

    def _begin(self, request: Request, *arguments: Any, **options: Any) -> None:
        super().initial(request, *arguments, **options)  # type: ignore[misc]
        self._check_query(request)
        if request.method in SAFE_METHODS and (header := request.headers.get("If-None-Match")) is not None:
            self._known_to_client = parse_entity_tags("If-None-Match", header)
        if request.method in METHODS_WITH_BODY and hasattr(self, request.method.lower()):
            _ = request.data

    def _check_query(self, request: Request) -> None:
        is_known = hasattr(self, str(request.method).lower())
        if request.query_params and is_known and self._name_of(request) not in self.queried:
            checked(query_form(tuple(each.format for each in self.get_renderers())), request.query_params)  # type: ignore[attr-defined]

    def finalize_response(self, *arguments: Any, **options: Any) -> Response:
        """Return the response; rendering completes its entity tag."""
        response: Response = super().finalize_response(*arguments, **options)  # type: ignore[misc]
        if "ETag" in response:
            response.add_post_render_callback(self._tag)
        return response

    def _tag(self, response: Response) -> None:
        add_etag(response)
        patch_vary_headers(response, _VARY)
        if response.status_code == 200 and self._known_to_client.matches(response["ETag"]):
            make_not_modified(response)


async def _refuse_method(request: Request, *_arguments: Any, **_options: Any) -> Response:
    raise MethodNotAllowed(str(request.method))


def _no_more_work(response: Response) -> Callable[[], Awaitable[Response]]:
    async def render() -> Response:
        return response

    return render


class ApiView(ApiMixin, APIView):
    """A view of the API."""


class NoFilters(StrictSerializer):
    """The query of a list without filters."""


class NoParameters(StrictSerializer):
    """The query of an operation without parameters."""

    page_parameters = frozenset()


@cache
def query_form(formats: tuple[str, ...]) -> type[StrictSerializer]:
    """Return the form of the query of an operation that answers in these formats."""
    if len(formats) < 2:
        return NoParameters
    return type("FormatParameter", (NoParameters,), {"format": ListedChoiceField(choices=formats, required=False)})


class PagedViewSet(ApiMixin, GenericViewSet):
    """A view set with paged lists. `ordering` names the fields of the keyset; the last one is unique."""

    ordering: tuple[str, ...] = ("id",)
    queried = frozenset({"list"})

    async def page(
        self,
        request: Request,
        select: Callable[..., QuerySet[Any]],
        show: type[Serializer[Any]],
        *,
        filters: type[StrictSerializer] = NoFilters,
        ordering: tuple[str, ...] | None = None,
        prepare: Callable[[list[Any]], list[Any]] = list,
    ) -> Response:
        """Return one page of `select(**filters)`: each row of `prepare(page)`, serialized by `show`."""

        def read() -> Response:
            values = checked(filters, request.query_params)
            self.ordering = ordering or self.ordering
            rows = self.paginator.paginate_queryset(select(**values), request, view=self)
            response: Response = self.paginator.get_paginated_response(represent_all(show, prepare(rows)))
            return response

        return await in_request_thread(read)()
