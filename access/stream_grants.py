"""Credentials, and grants of open streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A user, and the token or session that proves it. Its repr, and so every log, hides the secrets."""

    user_id: int
    token: str | None = field(default=None, repr=False)  # digest of the token
    session: str | None = field(default=None, repr=False)  # key of the session
    password: str | None = field(
        default=None, repr=False
    )  # with a session: the password hash at login; a new password ends the session


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Authorization of an open stream: a credential, and a role in a root scope, if the stream is of one."""

    credential: Credential
    root_id: UUID | None  # None: the stream has only what the user may see anyway
