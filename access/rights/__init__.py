"""Rights of tokens. Pure: other modules of `access` import it, and views name the right that a token needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID


class Right(StrEnum):
    """What a token may do. No right includes another one."""

    READ = "read"
    ANSWER = "answer"  # answers, decisions, comments, edits, files
    OPERATE = "operate"  # start, cancel, retry, budgets of executions, assignments
    AUTHOR = "author"  # publish, retire and try workflows
    MANAGE = "manage"  # roles, invitations, budgets of scopes


#: Needed for tokens, sessions and passwords: a session, or a token with all rights and without a scope.
ALL_RIGHTS: Final = frozenset(Right)
#: Needed for what every token may do, such as revoking itself.
NO_RIGHT: Final[frozenset[Right]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimits:
    """The limits of the token that a user has authenticated with."""

    rights: frozenset[Right]
    root_id: UUID | None  # the only root scope that the token reaches; None: all of its user


def missing_right(limits: TokenLimits | None, needed: frozenset[Right]) -> Right | None:
    """Return a right that is needed and that a token lacks; None if there is none, or no token (`limits` is None).

    A token with a scope never has all rights.
    """
    if limits is None:
        return None
    if needed == ALL_RIGHTS and limits.root_id is not None:
        return Right.MANAGE
    return next((each for each in Right if each in needed and each not in limits.rights), None)
