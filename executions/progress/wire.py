"""How an event looks on the wire of Server-Sent Events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django_eventstream.utils import sse_encode_event
from pydantic import JsonValue

from executions.engine.events import ProgressEvent

KEEPALIVE = b": keep-alive\n\n"
DELTA = "step_delta"  # text of a step as it is written; no part of the log
RESET = "stream-reset"  # events were pruned; no part of the log


@dataclass(frozen=True, slots=True)
class Message:
    """An event with the bytes that clients get: encoded once, sent to many."""

    event: ProgressEvent
    payload: bytes


def event_json(event: ProgressEvent) -> dict[str, JsonValue]:
    """Return the JSON object of an event, the same in streams and in pages of the log."""
    moment = event.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
    return {
        "event_type": str(event.event_type),
        "execution_id": str(event.execution_id),
        "step_id": event.step_id,
        "sequence": event.sequence,
        "timestamp": moment.replace("+00:00", "Z"),
        "data": event.data,
    }


def encode(event: ProgressEvent) -> Message:
    """Return the event with its bytes; its id on the wire is its sequence."""
    return _message(event, event_json(event))


def encode_reset(execution_id: UUID, *, asked: int, oldest: int) -> Message:
    """Return what tells a client that has the events up to `asked` that those before `oldest` are pruned.

    Its id is that of the last one pruned: a client that comes back goes on from there.
    """
    told = ProgressEvent(
        execution_id=execution_id,
        sequence=oldest - 1,
        event_type=RESET,
        step_id=None,
        data={"oldest": oldest, "asked": asked},
        timestamp=datetime.now(UTC),
    )
    shown = event_json(told)
    return _message(told, {name: shown[name] for name in ("event_type", "execution_id", "data")})


def _message(event: ProgressEvent, shown: object) -> Message:
    text: str = sse_encode_event(event.event_type, shown, event_id=event.sequence, json_encode=True)
    return Message(event, text.encode())


def retry_line(milliseconds: int) -> bytes:
    """Return what tells a browser how long to wait before it reconnects."""
    return f"retry: {milliseconds}\n\n".encode()
