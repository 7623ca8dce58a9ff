"""Who may follow which stream, and from where on. Synchronous: it runs in a thread while a stream is set up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest
from django_eventstream.utils import get_channelmanager
from rest_framework.exceptions import APIException, NotFound

from access.authentication import identify
from access.selectors import root_scope_id
from access.stream_grants import Grant
from access.tickets import TicketText, ticket_target
from common.api.fields import CommaSeparatedChoiceField
from common.api.serializers import StrictSerializer, checked
from common.database.server import database_now
from executions.engine.domain.events import DELTA, EventType
from executions.progress.eventstream import channel_of
from executions.selectors import executions

MAX_DIGITS = 18  # of a position


class BadLastEventId(APIException):
    """The client names no event."""

    status_code = 400
    default_code = "bad-last-event-id"


class StreamFilters(StrictSerializer):
    """What of a stream to send."""

    types = CommaSeparatedChoiceField(
        choices=[*((each.value, each.name) for each in EventType), (DELTA, DELTA.upper())], required=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a client is let in to."""

    grant: Grant
    channel: UUID  # the execution, or the scope whose feed it is
    after: int  # the number after which it goes on
    types: Collection[str] | None  # None: all
    over: bool = False  # nothing comes after that
    is_feed: bool = False
    is_new: bool = False  # the client knows no position, and has to be told


def admit(request: HttpRequest, ticket: TicketText, *, execution_id: UUID) -> Admission:
    """Let a client in to an execution.

    Raises:
        AuthenticationFailed: the token or the ticket is wrong. NotAuthenticated: there is neither, and no session.
        NotFound: there is no such execution, or this user may not see it.
        BadLastEventId: the last id is no number.
        ValidationError: it asks for types of events that do not exist.
    """
    opens = ticket_target("execution", execution_id)
    user, credential = identify(request, ticket=ticket, opens=opens, now=database_now())
    if not get_channelmanager().can_read_channel(user, channel_of(execution_id)):
        raise NotFound("There is no such execution.")
    log = executions.log_of(user=user, execution_id=execution_id)
    after, types = last_event_id(request) or 0, requested_types(request)
    return Admission(
        grant=Grant(credential=credential, root_id=log.root_id),
        channel=execution_id,
        after=after,
        types=types,
        # A client that has more than the log was sent what the database has lost: the stream tells it.
        over=after <= log.last and executions.is_log_exhausted(log, after=after, types=types),
    )


def admit_to_feed(request: HttpRequest, ticket: TicketText, *, scope_type: str, scope_id: str) -> Admission:
    """Let a client in to the feed of a root scope, which begins with what happens from now on.

    Raises:
        AuthenticationFailed: the token or the ticket is wrong. NotAuthenticated: there is neither, and no session.
        NotFound: there is no such scope, or this user may not see it.
        BadLastEventId: the last id is no number.
        ValidationError: it asks for types of events that do not exist.
    """
    opens = ticket_target("scope", root_scope_id(scope_type=scope_type, scope_key=scope_id))
    user, credential = identify(request, ticket=ticket, opens=opens, now=database_now())
    feed = executions.feed_of(user=user, scope_type=scope_type, scope_key=scope_id)
    given, types = last_event_id(request), requested_types(request)
    after = feed.last if given is None else given
    grant = Grant(credential=credential, root_id=feed.root_id)
    return Admission(grant=grant, channel=feed.root_id, after=after, types=types, is_feed=True, is_new=given is None)


def last_event_id(request: HttpRequest) -> int | None:
    """Return the last event that the client has; None when it names none. `12` and `channel:12` mean the same.

    The header wins over the query: a browser that reconnects keeps its old URL.
    """
    query = request.GET.get("last_event_id") or request.GET.get("lastEventId")
    given = request.headers.get("Last-Event-ID") or query
    if given is None or given == "":
        return None
    text = given.rpartition(":")[2]
    # Nothing but ASCII digits, and few enough for a number: int() takes far more than that.
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise BadLastEventId("The last event id is not a number.")
    return int(text)


def requested_types(request: HttpRequest) -> Collection[str] | None:
    """Return the types of events that the client wants, None for all.

    Raises:
        ValidationError: there are no such types, which it names.
    """
    given = {"types": request.GET.getlist("types")} if "types" in request.GET else {}
    types: list[str] | None = checked(StreamFilters, given).get("types")
    return None if types is None else frozenset(types)
