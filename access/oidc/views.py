"""The two addresses of single sign-on: where it begins, and to which the provider sends people back."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET

from access.oidc import library
from access.oidc.faults import LoginFailed

_log = structlog.get_logger(__name__)


@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Lead to the provider."""
    wanted = _local(request, request.GET.get("next", ""))
    provider = library.Adapter(request).get_provider()
    return _or_login_page(lambda: provider.begin(request, next_url=wanted), wanted=lambda: wanted)


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Log in the person whom the provider has sent back."""
    adapter = library.Adapter(request)
    return _or_login_page(lambda: library.finish(request, adapter), wanted=lambda: adapter.wanted)


def _or_login_page(answer: Callable[[], HttpResponse], *, wanted: Callable[[], str]) -> HttpResponse:
    """Return the answer; if the log-in failed, lead to the page of the log-in, which says why and keeps `next`."""
    try:
        return answer()
    except LoginFailed as failure:
        _log.warning("single_sign_on_failed", fault=failure.fault.value, detail=failure.detail)
        kept = {"fault": failure.fault.value}
        if page := wanted():
            kept["next"] = page
        return HttpResponseRedirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode(kept)}")


def _local(request: HttpRequest, address: str) -> str:
    """Return the address if it is one of this server, else an empty text."""
    is_local = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if is_local else ""
