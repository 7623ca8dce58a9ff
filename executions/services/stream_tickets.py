"""Tickets for the streams of executions and scopes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from access.selectors import Token
from access.services import issue_ticket
from access.url_secrets import ticket_target
from access.user import User
from executions.selectors import executions


def issue_execution_ticket(
    *, user: User, execution_id: UUID, token: Token | None, session_key: str | None, seconds: int, now: datetime
) -> tuple[str, datetime]:
    """Issue a ticket for an execution's stream; return it and its expiry time.

    Raises:
        NotFound: there is no such execution, or none that the user may see.
        Forbidden: the caller has neither a token nor a session.
    """
    executions.execution(user=user, execution_id=execution_id)
    opens = ticket_target("execution", execution_id)
    return issue_ticket(user=user, token=token, session_key=session_key, opens=opens, seconds=seconds, now=now)


def issue_scope_ticket(
    *,
    user: User,
    scope_type: str,
    scope_key: str,
    token: Token | None,
    session_key: str | None,
    seconds: int,
    now: datetime,
) -> tuple[str, datetime]:
    """Issue a ticket for a root scope's feed; return it and its expiry time.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
        Forbidden: the caller has neither a token nor a session.
    """
    opens = ticket_target("scope", executions.feed_of(user=user, scope_type=scope_type, scope_key=scope_key).root_id)
    return issue_ticket(user=user, token=token, session_key=session_key, opens=opens, seconds=seconds, now=now)
