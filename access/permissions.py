"""Who may do what: roles of people, rights of tokens, and the actions that need them.

Commands check role and right by these tables, and responses compute `may` by them. So both always agree. It imports
nothing of ours: models and views name roles and rights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.db.models import TextChoices


class Role(TextChoices):
    """Role of a user in a root scope and all scopes below it; each role includes the previous ones."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"  # also answers questions and accepts documents
    OPERATOR = "operator"  # also starts, cancels and retries executions
    OWNER = "owner"  # also gives roles, and erases executions


_RANK = {Role.VIEWER: 0, Role.REVIEWER: 1, Role.OPERATOR: 2, Role.OWNER: 3}


class Right(StrEnum):
    """What a token may do. No right includes another one."""

    READ = "read"
    ANSWER = "answer"  # answers, decisions, comments, edits, files
    OPERATE = "operate"  # start, cancel, retry, erase, budgets of executions, assignments
    AUTHOR = "author"  # publish, retire and try workflows
    MANAGE = "manage"  # roles, invitations, budgets and retention of scopes


#: Needed for tokens, sessions and passwords: a session, or a token with all rights and without a scope.
ALL_RIGHTS: Final = frozenset(Right)
#: Needed for what every token may do, such as revoking itself.
NO_RIGHT: Final[frozenset[Right]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimits:
    """The limits of the token that a user has authenticated with."""

    rights: frozenset[Right]
    root_id: UUID | None  # the only root scope that the token reaches; None: all of its user


class Action(StrEnum):
    """What a person can do with a scope, an execution, a step or a document, besides reading."""

    START = "start"
    ADD_DOCUMENT = "add_document"
    ANSWER = "answer"
    DECIDE = "decide"
    CANCEL = "cancel"
    RETRY = "retry"
    #: Change the limits of one execution.
    BUDGET = "budget"
    #: Erase the contents of an execution.
    ERASE = "erase"
    EDIT = "edit"
    COMMENT = "comment"
    RESTORE = "restore"
    GIVE_ROLES = "give_roles"
    INVITE = "invite"
    #: Change the monthly budget of a scope.
    SET_BUDGET = "set_budget"
    #: Change how long a scope keeps executions.
    SET_RETENTION = "set_retention"


#: The values with their names, as serializers and the OpenAPI document use them.
ACTION_CHOICES = [(each.value, each.name) for each in Action]
NEEDED_ROLE: Mapping[Action, Role] = {
    Action.START: Role.OPERATOR,
    Action.ADD_DOCUMENT: Role.REVIEWER,
    Action.ANSWER: Role.REVIEWER,
    Action.DECIDE: Role.REVIEWER,
    Action.CANCEL: Role.OPERATOR,
    Action.RETRY: Role.OPERATOR,
    Action.BUDGET: Role.OPERATOR,
    Action.ERASE: Role.OWNER,
    Action.EDIT: Role.REVIEWER,
    Action.COMMENT: Role.REVIEWER,
    Action.RESTORE: Role.REVIEWER,
    Action.GIVE_ROLES: Role.OWNER,
    Action.INVITE: Role.OWNER,
    Action.SET_BUDGET: Role.OWNER,
    Action.SET_RETENTION: Role.OWNER,
}
#: The right of a token that each action needs.
NEEDED_RIGHT: Mapping[Action, Right] = {
    Action.START: Right.OPERATE,
    Action.ADD_DOCUMENT: Right.ANSWER,
    Action.ANSWER: Right.ANSWER,
    Action.DECIDE: Right.ANSWER,
    Action.CANCEL: Right.OPERATE,
    Action.RETRY: Right.OPERATE,
    Action.BUDGET: Right.OPERATE,
    Action.ERASE: Right.OPERATE,
    Action.EDIT: Right.ANSWER,
    Action.COMMENT: Right.ANSWER,
    Action.RESTORE: Right.ANSWER,
    Action.GIVE_ROLES: Right.MANAGE,
    Action.INVITE: Right.MANAGE,
    Action.SET_BUDGET: Right.MANAGE,
    Action.SET_RETENTION: Right.MANAGE,
}
#: What the state of a scope never prevents.
SCOPE_ACTIONS = frozenset(
    {
        Action.START,
        Action.ADD_DOCUMENT,
        Action.GIVE_ROLES,
        Action.INVITE,
        Action.SET_BUDGET,
        Action.SET_RETENTION,
    }
)


def allows(have: Role | None, need: Role) -> bool:
    """Return whether role `have` includes role `need`."""
    return have is not None and _RANK[have] >= _RANK[need]


def permitted(role: Role | None, possible: Iterable[Action], *, limits: TokenLimits | None) -> list[Action]:
    """Return what role and token permit, of the actions that the state permits, in the order of `Action`.

    Args:
        role: The role of the caller in the root scope.
        possible: The actions that the state permits.
        limits: The limits of the caller's token; None: a session.
    """
    among = frozenset(possible)
    if limits is not None:
        among = frozenset(each for each in among if NEEDED_RIGHT[each] in limits.rights)
    return [each for each in Action if each in among and allows(role, NEEDED_ROLE[each])]


def missing_right(limits: TokenLimits | None, needed: frozenset[Right]) -> Right | None:
    """Return a right that is needed and that a token lacks; None if there is none, or no token (`limits` is None).

    A token with a scope never has all rights.
    """
    if limits is None:
        return None
    if needed == ALL_RIGHTS and limits.root_id is not None:
        return Right.MANAGE
    return next((each for each in Right if each in needed and each not in limits.rights), None)
