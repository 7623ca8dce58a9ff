"""Calls for the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from access.models import Scope
from access.services import claim_root_scope
from access.user import User
from common.database import bulk
from telemetry import ledger
from telemetry.ledger import CallRecord
from telemetry.models import ModelCall

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPLY: dict[str, Any] = {
    "status": "committed",
    "provider": "scripted",
    "model": "writer-1",
    "reply": {"text": "Done."},
    "input_tokens": 100,
    "cache_read_input_tokens": 40,
    "cache_write_input_tokens": 8,
    "output_tokens": 20,
    "reasoning_tokens": 5,
    "cost_usd": Decimal("0.0012000000"),
    "latency_ms": 250,
    "finished_at": NOON,
}
TOKENS = 168  # of a reply, each counted once


def scope_of(user: User, key: str = "alpha") -> Scope:
    return claim_root_scope(user=user, scope_type="project", scope_key=key)


def call(user: User, scope: Scope | None = None, **changes: Any) -> CallRecord:
    """Return a call of a new execution that is under way, or what it becomes by the changes."""
    given: dict[str, Any] = {
        "execution_id": uuid7(),
        "step_id": "research",
        "attempt": 1,
        "kind": "generate",
        "ordinal": 1,
        "workflow_id": "report",
        "scope_id": (scope or scope_of(user)).id,
        "user_id": user.id,
        "status": "pending",
        "requested_model": "scripted:writer",
        "request_hash": "0" * 64,
        "started_at": NOON,
        **changes,
    }
    return CallRecord(**given)


def announce(*calls: CallRecord) -> None:
    """Write new calls."""
    bulk.write(ledger.insert_writes([(ledger.new_row(), each) for each in calls]))


def settle(known: ledger.CallRow, becomes: CallRecord) -> None:
    """Write what became of a call over what was known of it.

    Raises:
        StaleCall: another worker has settled the call.
    """
    bulk.write(ledger.update_writes([(known, becomes)]))


def answered(user: User, scope: Scope | None = None, **changes: Any) -> UUID:
    """Record an answered call and return its execution."""
    made = call(user, scope, **{**REPLY, **changes})
    announce(made)
    return made.execution_id


def row() -> ModelCall:
    """Return the only row."""
    return ModelCall.objects.get()
