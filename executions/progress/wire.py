"""How an event looks on the wire of Server-Sent Events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from django_eventstream.utils import sse_encode_event
from pydantic import JsonValue

from executions.engine.events import ProgressEvent

KEEPALIVE = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """An event with the bytes that clients get: encoded once, sent to many."""

    event: ProgressEvent
    payload: bytes


def event_json(event: ProgressEvent) -> dict[str, JsonValue]:
    """Return the JSON object of an event, the same in streams and in pages of the log."""
    moment = event.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
    return {
        "event_type": event.event_type.value,
        "execution_id": str(event.execution_id),
        "step_id": event.step_id,
        "sequence": event.sequence,
        "timestamp": moment.replace("+00:00", "Z"),
        "data": event.data,
    }


def encode(event: ProgressEvent) -> Message:
    """Return the event with its bytes; its id on the wire is its sequence."""
    text = sse_encode_event(event.event_type.value, event_json(event), event_id=event.sequence, json_encode=True)
    return Message(event, text.encode())


def retry_line(milliseconds: int) -> bytes:
    """Return what tells a browser how long to wait before it reconnects."""
    return f"retry: {milliseconds}\n\n".encode()
