"""What somebody has shown to be let in, and what an open stream rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who somebody is, and the token or the session that says so; never shown in a log."""

    user_id: int
    token: str | None = field(default=None, repr=False)  # digest of the token
    session: str | None = field(default=None, repr=False)  # key of the session
    password: str | None = field(default=None, repr=False)  # with a session: its hash then; another one ends sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an open stream rests on: a credential, and a role in a root scope."""

    credential: Credential
    root_id: UUID
