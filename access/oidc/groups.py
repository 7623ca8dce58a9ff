"""What groups of the provider give: roles in root scopes, and rights of the whole installation. Pure.

An entry is `group=role@type/key` or `group=right`. Commas separate entries, so a comma in a name is written `%2C`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from common.names import has_hidden_characters, normalize_name

#: Roles that groups give, from the lowest. Owners are made by people: a group cannot take the last owner of a scope.
ROLES = ("viewer", "reviewer", "operator")
#: Rights of the whole installation that groups give, and the columns of the user that hold them.
RIGHTS: Mapping[Literal["staff", "author"], str] = {"staff": "is_staff", "author": "is_author"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeName:
    """The name of a root scope."""

    type: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What members of a group get: a role in a scope, or a right."""

    group: str
    gives: str  # a role if there is a scope, else a right
    scope: ScopeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the groups of one person give."""

    roles: dict[ScopeName, str]
    rights: frozenset[str]


@lru_cache(maxsize=8)
def rules_of(entries: tuple[str, ...]) -> tuple[Rule, ...]:
    """Parse the entries of the setting.

    Raises:
        ValueError: an entry cannot be read; the message quotes it.
    """
    return tuple(map(_rule_of, entries))


def given_to(groups: Collection[str], rules: Iterable[Rule]) -> Given:
    """Return what the rules give to a member of these groups; in each scope it is the highest role."""
    roles: dict[ScopeName, str] = {}
    rights = set()
    for rule in rules:
        if rule.group not in groups:
            continue
        if rule.scope is None:
            rights.add(rule.gives)
        else:
            roles[rule.scope] = max(roles.get(rule.scope, rule.gives), rule.gives, key=ROLES.index)
    return Given(roles=roles, rights=frozenset(rights))


def _rule_of(entry: str) -> Rule:
    left, _, right = entry.rpartition("=")
    group, (gives, at, place) = unquote(left).strip(), right.strip().partition("@")
    if not group:
        raise ValueError(f"{entry!r} names no group.")
    if not at:
        if gives not in RIGHTS:
            raise ValueError(f"{entry!r} gives neither a role nor one of {', '.join(RIGHTS)}.")
        return Rule(group=group, gives=gives)
    if gives not in ROLES:
        raise ValueError(f"{entry!r} gives a role that is not one of {', '.join(ROLES)}.")
    scope_type, _, key = place.partition("/")
    scope = ScopeName(type=scope_type, key=normalize_name(unquote(key)))
    if not scope.type or not scope.key or has_hidden_characters(scope.type + scope.key):
        raise ValueError(f"{entry!r} names no scope, such as project/harbour.")
    return Rule(group=group, gives=gives, scope=scope)
