"""Encoding of events as Server-Sent Events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django_eventstream.utils import sse_encode_event
from pydantic import JsonValue

from executions.engine.domain.events import DELTA, INBOX_COUNTS, RESET, ProgressEvent, event_json

KEEPALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to clients: encoded once, sent to many."""

    channel: UUID  # execution id, or scope id for a feed
    number: int  # number in the channel's log; for messages beside the log, the number of the event before
    kind: str
    payload: bytes


def encode(event: ProgressEvent) -> Message:
    """Encode an event of an execution's log; its SSE id is its sequence number."""
    if event.execution_id is None:
        raise ValueError("an event of a feed alone is in no log")
    return _message(event.execution_id, event.sequence, kind=str(event.event_type), payload=event_json(event))


def encode_in_feed(event: ProgressEvent, *, scope_id: UUID, number: int) -> Message:
    """Encode an event of a scope's feed; its SSE id is its number in the feed.

    Of an event that is in the feed already, by the log of another execution, only the number is sent.
    """
    kind = str(event.event_type)
    if event.data.get("repeated") is True:
        return Message(scope_id, number, kind, f"id: {number}\n\n".encode())
    return _message(scope_id, number, kind=kind, payload=event_json(event))


def encode_reset(channel: UUID, *, last_known: int, oldest: int, execution_id: UUID | None) -> Message:
    """Encode a reset for a client with the events up to `last_known`: the next event is `oldest`.

    The events in between were pruned. If `oldest` is not greater than `last_known`, the database has lost events that
    the client has. The SSE id is the one before `oldest`, so that a reconnecting client continues from there.
    """
    payload = {
        "event_type": RESET,
        "execution_id": None if execution_id is None else str(execution_id),
        "data": {"oldest": oldest, "asked": last_known},
    }
    return _message(channel, oldest - 1, kind=RESET, payload=payload)


def encode_delta(execution_id: UUID, step_id: str, *, after: int, data: Mapping[str, JsonValue]) -> Message:
    """Encode new text of a step after the event `after`. It has no SSE id: clients cannot resume from it."""
    payload = {"event_type": DELTA, "execution_id": str(execution_id), "step_id": step_id, "data": dict(data)}
    text: str = sse_encode_event(DELTA, payload, json_encode=True)
    return Message(execution_id, after, DELTA, text.encode())


def encode_counts(counts: Mapping[str, int | str]) -> Message:
    """Encode the counts of an inbox. They have no SSE id: a client that reconnects gets the present ones."""
    payload = {"event_type": INBOX_COUNTS, "data": dict(counts)}
    text: str = sse_encode_event(INBOX_COUNTS, payload, json_encode=True)
    return Message(UUID(int=0), 0, INBOX_COUNTS, text.encode())


def _message(channel: UUID, number: int, *, kind: str, payload: object) -> Message:
    text: str = sse_encode_event(kind, payload, event_id=number, json_encode=True)
    return Message(channel, number, kind, text.encode())


def preamble(*, retry_ms: int, position: int | None) -> bytes:
    """Return the start of a stream: the reconnect delay, and the position to resume from.

    The position is for a client that has named none and has not received an event yet.
    """
    lines = f"retry: {retry_ms}\n" if position is None else f"retry: {retry_ms}\nid: {position}\n"
    return f"{lines}\n".encode()
