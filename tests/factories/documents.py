"""Documents to store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from access.models import Scope
from access.services import claim_root_scope
from access.user import User
from documents import repository
from documents.repository import StoredDocument

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title"],
    "properties": {"zeta": {"type": "integer"}, "title": {"type": "string"}},
}


def scope_of(user: User, key: str = "alpha", scope_type: str = "project") -> Scope:
    return claim_root_scope(user=user, scope_type=scope_type, scope_key=key)


def paper(scope: Scope, **changes: Any) -> StoredDocument:
    """Return the first version of the scope's `plan`, or what it becomes by the changes."""
    title = changes.get("title", "The plan")
    given: dict[str, Any] = {
        "id": uuid7(),
        "scope_id": scope.id,
        "type": "plan",
        "version": 1,
        "title": title,
        "content": {"title": title},
        "schema": SCHEMA,
        "execution_id": None,
        "step_id": None,
        "created_at": NOW,
        "provenance": {"rehearsal": False},
        **changes,
    }
    return StoredDocument(**given)


def store(scope: Scope, **changes: Any) -> UUID:
    """Store a version and return the document's id."""
    return repository.save_version(paper(scope, **changes)).id
