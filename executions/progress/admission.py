"""Who may follow which execution, and from where on. Synchronous: it runs in a thread while a stream is set up."""

from __future__ import annotations

from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django_eventstream.utils import get_channelmanager, get_storage
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated, NotFound

from access.authentication import TokenAuthentication
from access.selectors import Person
from executions.progress.eventstream import channel_of


class BadLastEventId(APIException):
    """The client names an event that this log does not have."""

    status_code = 400
    default_code = "bad-last-event-id"


def admit(request: HttpRequest, execution_id: UUID) -> int | None:
    """Return the sequence after which the client goes on; None when there is nothing after it and never will be.

    Raises:
        AuthenticationFailed: the token is wrong. NotAuthenticated: there is neither token nor session.
        NotFound: there is no such execution, or this user may not see it.
        BadLastEventId: the last id is no number, or lies beyond the log.
    """
    user = authenticate(request)
    channel = channel_of(execution_id)
    if not get_channelmanager().can_read_channel(user, channel):
        raise NotFound("There is no such execution.")
    storage = get_storage()
    after = last_event_id(request)
    if after > storage.get_current_id(channel):
        raise BadLastEventId(f"The log of this execution does not have an event {after} yet.")
    return None if storage.is_end(channel, after) else after


def authenticate(request: HttpRequest) -> Person:
    """Return the user of the request's token, or else of its session.

    Raises:
        AuthenticationFailed: the token is wrong. NotAuthenticated: there is neither.
    """
    tokens = TokenAuthentication()
    try:
        user: Person = tokens.user_of(request) or _session_user(request)
        if not user.is_authenticated:
            raise NotAuthenticated
    except (AuthenticationFailed, NotAuthenticated) as error:
        error.auth_header = tokens.authenticate_header(request)  # type: ignore[union-attr]
        raise
    return user


def _session_user(request: HttpRequest) -> Person:
    sessions = import_module(settings.SESSION_ENGINE)
    request.session = sessions.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def last_event_id(request: HttpRequest) -> int:
    """Return the last event that the client has; 0 for none. `12` and `channel:12` mean the same.

    The header wins over the query: a browser that reconnects keeps its old URL.
    """
    query = request.GET.get("last_event_id") or request.GET.get("lastEventId")
    text = (request.headers.get("Last-Event-ID") or query or "0").rpartition(":")[2]
    # Nothing but ASCII digits, and few enough for a sequence: int() takes far more than that.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**31))):
        raise BadLastEventId("The last event id is not a number.")
    return int(text)
