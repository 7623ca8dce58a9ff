"""The language of a page: that of the person, or of the browser without a login. The API always speaks English."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

Given = ParamSpec("Given")
View = Callable[Concatenate[HttpRequest, Given], HttpResponse]


def language_for(tag: str) -> str:
    """Return the language of pages for a language tag, such as `de` for `de-AT`; English if there is none."""
    try:
        return translation.get_supported_language_variant(tag)
    except LookupError:
        return settings.LANGUAGE_CODE


def language_of(request: HttpRequest) -> str:
    """Return the language of pages for who has sent the request."""
    user: Any = request.user
    return language_for(user.language) if user.is_authenticated else language_of_browser(request)


def language_of_browser(request: HttpRequest) -> str:
    """Return the language that the browser prefers. It reads no session, so it works without the database."""
    return translation.get_language_from_request(request)


def speaking(request: HttpRequest) -> AbstractContextManager[Any]:
    """Use the language of who has sent the request."""
    return translation.override(language_of(request))


def in_language(view: View[Given]) -> View[Given]:
    """Serve a page in the language of who has sent the request, also without a login."""

    @wraps(view)
    def served(request: HttpRequest, *arguments: Given.args, **options: Given.kwargs) -> HttpResponse:
        with speaking(request):
            response = view(request, *arguments, **options)
            if isinstance(response, SimpleTemplateResponse):
                response.render()  # else it is rendered after this, in English
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return served  # type: ignore[return-value]  # `wraps` names the first parameter
