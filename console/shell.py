"""The frame of pages: login, language, time zone, navigation, entity tags of parts, and what is shown for errors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from access.selectors import Person
from common.database import counts
from common.database.server import database_now
from common.errors import Erased, Forbidden, Malformed, NotFound
from common.time import time_zones
from console.language.choice import speaking
from executions.selectors import inbox

#: Pages of the navigation: key, label, name of the path.
SECTIONS = (
    ("home", gettext_lazy("Home"), "console:home"),
    ("inbox", gettext_lazy("Inbox"), "console:inbox"),
    ("executions", gettext_lazy("Executions"), "console:executions"),
    ("documents", gettext_lazy("Documents"), "console:documents"),
    ("costs", gettext_lazy("Costs"), "console:costs"),
    ("workflows", gettext_lazy("Workflows"), "console:workflows"),
    ("scopes", gettext_lazy("Scopes"), "console:scopes"),
)
#: Tells scripts of the page that the server has stored what the form has sent.
STORED = "stored"
#: The stream that a page follows unless it names another one.
INBOX_STREAM = "/api/v1/inbox/stream"
#: Names of the pages of an execution to which other pages lead back.
EXECUTION_PAGES = frozenset(
    {
        "execution",
        "execution-documents",
        "execution-timeline",
        "execution-calls",
        "execution-brief",
        "execution-items",
        "execution-step",
    }
)
_DIGEST_BYTES = 12

Given = ParamSpec("Given")
View = Callable[Concatenate[HttpRequest, Given], HttpResponse]


def zone_of(user: Person) -> ZoneInfo:
    """Return the user's time zone; UTC if this machine does not know it."""
    name = getattr(user, "time_zone", "UTC")
    return ZoneInfo(name if name in time_zones() else "UTC")


def page_view(view: View[Given]) -> View[Given]:
    """Serve a page to users who are logged in, in their language and time zone. Some errors become a page."""

    @login_required
    @ensure_csrf_cookie
    @wraps(view)
    def served(request: HttpRequest, *arguments: Given.args, **options: Given.kwargs) -> HttpResponse:
        with speaking(request), timezone.override(zone_of(request.user)):
            try:
                return view(request, *arguments, **options)
            except NotFound:
                return show_page(request, "console/not_found.html", status=404)
            except Forbidden as error:
                return _forbidden(request, error)
            except (Erased, Malformed) as error:
                status = 410 if isinstance(error, Erased) else 400
                return show_page(request, "console/unable.html", status=status, detail=gettext(str(error)))

    return served  # type: ignore[return-value]  # `wraps` names the first parameter


def _forbidden(request: HttpRequest, error: Forbidden) -> HttpResponse:
    """Say what the user may not do, and whom to ask. A form that htmx sends stays: it gets the sentence alone."""
    if is_htmx(request):
        return HttpResponse(gettext(str(error)), status=403, content_type="text/plain")
    return show_page(request, "console/forbidden.html", status=403, detail=gettext(str(error)), refused=error.context)


def form_view(view: View[Given]) -> View[Given]:
    """Serve a page with a form that htmx sends. Without a login it gets 401, because the answer replaces the form."""
    page = page_view(view)

    @wraps(view)
    def served(request: HttpRequest, *arguments: Given.args, **options: Given.kwargs) -> HttpResponse:
        if is_htmx(request) and not request.user.is_authenticated:
            return _session_ended(request)
        return page(request, *arguments, **options)

    return served  # type: ignore[return-value]  # `wraps` names the first parameter


def _session_ended(request: HttpRequest) -> HttpResponse:
    """Say that there is no login any more, in the language of the browser."""
    with speaking(request):
        return HttpResponse(gettext("Your session has ended."), status=401, content_type="text/plain")


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx has sent the request."""
    return "HX-Request" in request.headers


def number_in(text: str) -> int | None:
    """Return the number, such as one of a version, that an address or a form names; None if it names none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def version_in_address(request: HttpRequest, name: str = "v") -> int | None:
    """Return the version that the address names; None if it names none.

    Raises:
        NotFound: it is no number of a version.
    """
    given = request.GET.get(name)
    if given is None:
        return None
    if (number := number_in(given)) is None:
        raise NotFound
    return number


def stored(request: HttpRequest, path: str) -> HttpResponse:
    """Lead to a page after a form was stored. The browser forgets the kept input of the form."""
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Redirect": path, "HX-Trigger": STORED})
    return HttpResponseRedirect(path)


def way_back(request: HttpRequest) -> str:
    """Return the page of the inbox or of an execution from which a page was opened; empty if it was not."""
    origin, inbox_path = request.GET.get("from", ""), reverse("console:inbox")
    if origin == "inbox":
        return inbox_path
    is_known = origin.startswith(inbox_path) or _is_of_execution(origin)
    return origin if is_known and origin.isprintable() else ""


def _is_of_execution(origin: str) -> bool:
    """Whether a path, perhaps with a query, is that of a page of an execution."""
    try:
        found = resolve(origin.partition("?")[0])
    except Resolver404:
        return False
    return found.namespaces == ["console"] and found.url_name in EXECUTION_PAGES


def part_view(view: View[Given]) -> View[Given]:
    """Serve a part of a page with an entity tag: 304 if the browser has it already.

    A request without a login gets 401, because a redirect would put the login page into the part.
    """

    @require_safe
    @wraps(view)
    def served(request: HttpRequest, *arguments: Given.args, **options: Given.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return _session_ended(request)
        with speaking(request), timezone.override(zone_of(request.user)):
            try:
                response = view(request, *arguments, **options)
            except (Erased, NotFound, Malformed):
                return HttpResponse(gettext("This is not here any more."), status=404, content_type="text/plain")
            except Forbidden as error:
                return HttpResponse(gettext(str(error)), status=403, content_type="text/plain")
        return _with_tag(request, response)

    return served  # type: ignore[return-value]  # `wraps` names the first parameter


def _with_tag(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    tag = f'"{hashlib.blake2b(response.content, digest_size=_DIGEST_BYTES).hexdigest()}"'
    response["ETag"] = tag
    conditional = get_conditional_response(request, etag=tag, response=response)
    return response if conditional is None else conditional


def show_page(
    request: HttpRequest,
    template: str,
    *,
    section: str = "",
    status: int = 200,
    count: str | None = None,
    within: inbox.Reach | None = None,
    **context: Any,
) -> HttpResponse:
    """Render a page in the frame.

    Args:
        request: The request.
        template: A template that extends `console/shell.html`.
        section: The key of the page in `SECTIONS`; empty if it has no entry in the navigation.
        status: The HTTP status.
        count: The count of the inbox; None: it is read.
        within: What the user may act on; None: it is read.
        context: What the template shows.
    """
    within = within or inbox.reach(request.user, database_now())
    frame = {
        "sections": SECTIONS,
        "section": section,
        "waiting_count": waiting_text(request.user, within=within) if count is None else count,
        "zone": zone_of(request.user),
        "may_audit": within.owns_any,
    }
    context["stream"] = context.get("stream") or INBOX_STREAM
    return render(request, template, {**frame, **context}, status=status)


def count_text(count: int) -> str:
    """Format a count of the inbox; empty for zero."""
    return counts.count_text(count) if count else ""


def waiting_text(user: Person, *, within: inbox.Reach | None = None) -> str:
    """Return the count of the user's inbox. Dry runs are left out, as on its page."""
    return count_text(sum(inbox.counts(user=user, now=database_now(), within=within, dry_run=False).values()))


def stream_of(scope: Any) -> str:
    """Return the path of the event stream of a scope's root."""
    root = scope.root or scope
    return f"/api/v1/scopes/{quote(root.type, safe='')}/{quote(root.key, safe='')}/stream"


@part_view
def waiting_count(request: HttpRequest) -> HttpResponse:
    """Render the count of the inbox in the navigation."""
    return render(request, "console/parts/waiting_count.html", {"waiting_count": waiting_text(request.user)})
