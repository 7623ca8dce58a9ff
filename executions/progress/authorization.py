"""Authorization of streams, and their start position. Synchronous: it runs in a thread when a stream starts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest
from django_eventstream.utils import get_channelmanager

from access.authentication import identify, require_rights
from access.permissions import Right, TokenLimits
from access.selectors import Grant, limits_of, root_scope_id
from access.url_secrets import TicketText, ticket_target
from common.api.serializers import CommaSeparatedChoiceField, StrictSerializer, checked
from common.database.server import database_now
from common.errors import Malformed, NotFound
from executions.engine.domain.events import DELTA, EventType
from executions.progress.eventstream import channel_of
from executions.selectors import executions

MAX_DIGITS = 18  # digits of a position


class BadLastEventId(Malformed):
    """The client's last event id is not valid."""

    code = "bad-last-event-id"
    sentence = "The last event id is not a number."


class StreamFilters(StrictSerializer):
    """Filters of a stream."""

    types = CommaSeparatedChoiceField(
        choices=[*((each.value, each.name) for each in EventType), (DELTA, DELTA.upper())], required=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The stream that a client may follow, and where it starts."""

    grant: Grant
    channel: UUID  # execution id, or scope id for a feed
    after: int  # the client has the events up to this number
    types: Collection[str] | None  # None: all types
    over: bool = False  # no more events follow
    is_feed: bool = False
    inbox_of: int | None = None  # user id: the stream has the counts of an inbox
    limits: TokenLimits | None = None  # those of the reader's token; None: a session
    is_new: bool = False  # the client has named no position, so the stream has to send one


def admit(request: HttpRequest, ticket: TicketText, *, execution_id: UUID) -> Admission:
    """Authorize a client for an execution's stream.

    Raises:
        AuthenticationFailed: the token or the ticket is not valid. NotAuthenticated: there is no token, ticket or
        session. RightMissing: the token may not read. NotFound: there is no such execution, or this user may not see
        it. BadLastEventId: the last event id is not a number. ValidationError: an event type does not exist.
    """
    opens = ticket_target("execution", execution_id)
    user, credential = identify(request, ticket=ticket, opens=opens, now=database_now())
    require_rights(user, Right.READ)
    if not get_channelmanager().can_read_channel(user, channel_of(execution_id)):
        raise NotFound("There is no such execution.")
    log = executions.log_of(user=user, execution_id=execution_id)
    after, types = last_event_id(request) or 0, requested_types(request)
    return Admission(
        grant=Grant(credential=credential, root_id=log.root_id),
        channel=execution_id,
        after=after,
        types=types,
        # If the client has events that the log does not have, the database has lost them. Then the stream sends a
        # reset.
        over=after <= log.last and executions.is_log_exhausted(log, after=after, types=types),
    )


def admit_to_feed(request: HttpRequest, ticket: TicketText, *, scope_type: str, scope_id: str) -> Admission:
    """Authorize a client for a root scope's feed. Without a last event id it starts with the next event.

    Raises:
        AuthenticationFailed: the token or the ticket is not valid. NotAuthenticated: there is no token, ticket or
        session. RightMissing: the token may not read. NotFound: there is no such scope, or this user may not see it.
        BadLastEventId: the last event id is not a number. ValidationError: an event type does not exist.
    """
    opens = ticket_target("scope", root_scope_id(scope_type=scope_type, scope_key=scope_id))
    user, credential = identify(request, ticket=ticket, opens=opens, now=database_now())
    require_rights(user, Right.READ)
    feed = executions.feed_of(user=user, scope_type=scope_type, scope_key=scope_id)
    given, types = last_event_id(request), requested_types(request)
    after = feed.last if given is None else given
    grant = Grant(credential=credential, root_id=feed.root_id)
    return Admission(grant=grant, channel=feed.root_id, after=after, types=types, is_feed=True, is_new=given is None)


def admit_to_inbox(request: HttpRequest, ticket: TicketText) -> Admission:
    """Authorize a client for the counts of its inbox. There are no tickets for it.

    Raises:
        AuthenticationFailed: the token is not valid, or there is a ticket.
        NotAuthenticated: there is no token or session. RightMissing: the token may not read.
    """
    user, credential = identify(request, ticket=ticket, opens="inbox", now=database_now())
    require_rights(user, Right.READ)
    grant = Grant(credential=credential, root_id=None)
    return Admission(grant=grant, channel=UUID(int=0), after=0, types=None, inbox_of=user.pk, limits=limits_of(user))


def last_event_id(request: HttpRequest) -> int | None:
    """Return the id of the client's last event; None if it names none. `12` and `channel:12` mean the same.

    The header takes precedence over the query, because a reconnecting browser repeats its original URL.
    """
    query = request.GET.get("last_event_id") or request.GET.get("lastEventId")
    given = request.headers.get("Last-Event-ID") or query
    if given is None or given == "":
        return None
    text = given.rpartition(":")[2]
    # Only ASCII digits, in limited number: int() would accept more.
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise BadLastEventId
    return int(text)


def requested_types(request: HttpRequest) -> Collection[str] | None:
    """Return the requested types of events, None for all.

    Raises:
        ValidationError: a type does not exist; the error names it.
    """
    given = {"types": request.GET.getlist("types")} if "types" in request.GET else {}
    types: list[str] | None = checked(StreamFilters, given).get("types")
    return None if types is None else frozenset(types)
