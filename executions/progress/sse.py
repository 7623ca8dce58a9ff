"""How an event looks on the wire of Server-Sent Events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django_eventstream.utils import sse_encode_event
from pydantic import JsonValue

from executions.engine.domain.events import DELTA, RESET, ProgressEvent, event_json

KEEPALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """What clients get as bytes: encoded once, sent to many."""

    channel: UUID  # the execution, or the scope whose feed it is
    number: int  # in the log of that; of what is in none, the event after which it comes
    kind: str
    payload: bytes


def encode(event: ProgressEvent) -> Message:
    """Return an event of an execution's log; its id on the wire is its sequence."""
    return _message(event.execution_id, event.sequence, kind=str(event.event_type), shown=event_json(event))


def encode_in_feed(event: ProgressEvent, *, scope_id: UUID, number: int) -> Message:
    """Return an event of a scope's feed; its id on the wire is its number there."""
    return _message(scope_id, number, kind=str(event.event_type), shown=event_json(event))


def encode_reset(channel: UUID, *, last_known: int, oldest: int, execution_id: UUID | None) -> Message:
    """Return what tells a client that has the events up to `asked` that the next one is `oldest`.

    Those between are pruned; or, where `oldest` is not beyond `asked`, the database has lost what the client has.
    Its id is the one before `oldest`: a client that comes back goes on from there.
    """
    shown = {
        "event_type": RESET,
        "execution_id": None if execution_id is None else str(execution_id),
        "data": {"oldest": oldest, "asked": last_known},
    }
    return _message(channel, oldest - 1, kind=RESET, shown=shown)


def encode_delta(execution_id: UUID, step_id: str, *, after: int, data: Mapping[str, JsonValue]) -> Message:
    """Return what has come of a step's text after the event `after`. It has no id: a client cannot go on from it."""
    shown = {"event_type": DELTA, "execution_id": str(execution_id), "step_id": step_id, "data": dict(data)}
    text: str = sse_encode_event(DELTA, shown, json_encode=True)
    return Message(execution_id, after, DELTA, text.encode())


def _message(channel: UUID, number: int, *, kind: str, shown: object) -> Message:
    text: str = sse_encode_event(kind, shown, event_id=number, json_encode=True)
    return Message(channel, number, kind, text.encode())


def preamble(*, retry_ms: int, position: int | None) -> bytes:
    """Return what a stream begins with: how long to wait before a reconnect, and from where on to go then.

    The position is that of a client which has asked for none, and has not been sent anything.
    """
    lines = f"retry: {retry_ms}\n" if position is None else f"retry: {retry_ms}\nid: {position}\n"
    return f"{lines}\n".encode()
