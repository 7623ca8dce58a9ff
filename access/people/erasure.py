"""Erases the account of a person. The row of the user stays, without a name: other rows refer to it, and sums by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain, count

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q

from access.audit import Act, record
from access.models import ExternalAccount, Invitation, KeptAnswer, Scope, ScopeRole, SessionName, Token
from access.permissions import Role
from access.user import User
from common.database import bulk

_SESSION_USER = "_auth_user_id"  # Django's key in the data of a session
_ERASED = "Erased"
#: A name may begin with a dot, a plus or a hyphen. JSON has a line break as a backslash with a letter.
_BEGIN = r"((?<![[:alnum:]_])|(?<=\\[bfnrt]))"
#: Responses to other users that hold a name. The keys stay, so that a repeated request does not act again.
_FORGET_ANSWERS_WITH = """
UPDATE access_keptanswer SET answer = 'null', headers = '{}', status = 410
WHERE answer::text ~* %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's account, by what it is known by."""

    user_id: int
    name: str
    email: str
    alias: str  # the name of the user after it was erased
    former_names: tuple[str, ...] = ()  # user names that rows still have

    @property
    def names(self) -> tuple[str, ...]:
        """The user name, and former ones."""
        return (self.name, *self.former_names)

    @property
    def texts(self) -> list[str]:
        """Names and address, in lower case."""
        return [each.lower() for each in (*self.names, self.email) if each]


def account_of(name: str) -> Account | None:
    """Return the account of a user; None if there is no such user."""
    user = User.objects.filter(username=name).first()
    if user is None:
        return None
    return Account(user_id=user.pk, name=user.username, email=user.email, alias=_alias(user))


def _alias(user: User) -> str:
    """Return `erased-<id>`, or the next such name that is free: any user may have chosen the first one."""
    first = f"erased-{user.pk}"
    taken = User.objects.filter(username__startswith=first).exclude(pk=user.pk)
    others = set(taken.values_list("username", flat=True))
    return next(each for each in chain([first], (f"{first}.{number}" for number in count(2))) if each not in others)


def with_former_names(account: Account, names: Iterable[str]) -> Account:
    """Return an account with further names that rows of the user have, without those that other users have now."""
    found = set(names) - {account.name, account.alias, ""}
    taken = User.objects.filter(username__in=found).values_list("username", flat=True)
    return replace(account, former_names=tuple(sorted(found.difference(taken))))


def scopes_without_owner(user_id: int) -> list[str]:
    """Return the root scopes that have no other active owner than this user, as `type/key`."""
    owned = Scope.objects.filter(roles__user=user_id, roles__role=Role.OWNER)
    others = ScopeRole.objects.filter(role=Role.OWNER, user__is_active=True).exclude(user=user_id)
    left = owned.exclude(id__in=others.values("scope_id")).order_by("type", "key")
    return [f"{scope.type}/{scope.key}" for scope in left]


def is_last_superuser(user_id: int) -> bool:
    """Return whether no other active user has the rights of a superuser, and this one has them."""
    superusers = User.objects.filter(is_superuser=True, is_active=True)
    return superusers.filter(pk=user_id).exists() and not superusers.exclude(pk=user_id).exists()


@transaction.atomic
def erase_account(account: Account) -> None:
    """Erase name, address and all that belongs to the account alone, and record it.

    Sessions, tokens, roles, invitations, accounts at a provider of single sign-on, stored responses and entries of the
    admin's log go. The row of the user stays, inactive, so that foreign keys and sums stay.
    """
    owner = {"user_id": account.user_id}
    Session.objects.filter(session_key__in=_sessions_of(account.user_id)).delete()
    for model in (SessionName, Token, ExternalAccount, ScopeRole, KeptAnswer):
        model.objects.filter(**owner).delete()
    bulk.execute(_FORGET_ANSWERS_WITH, [_any_of(_json_forms(account.texts))])
    invited = Q(invited_by=account.user_id) | Q(accepted_by=account.user_id)
    Invitation.objects.filter(invited | Q(email__iexact=account.email, email__gt="")).delete()
    _erase_log(account)
    user = User.objects.select_for_update().get(pk=account.user_id)
    user.username, user.first_name, user.last_name, user.email = account.alias, "", "", ""
    user.is_active = user.is_staff = user.is_superuser = user.is_author = False
    user.email_verified_at, user.last_login, user.time_zone, user.language = None, None, "UTC", "en"
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
    record(Act.USER_ERASE, "user", user.pk)


def _sessions_of(user_id: int) -> list[str]:
    """Return the keys of a user's sessions. One of an earlier version has no name yet: its data says whose it is."""
    named = SessionName.objects.values_list("session_id", "user_id")
    known = dict(named)
    unnamed = (each for each in Session.objects.iterator() if known.get(each.session_key) is None)
    older = [each.session_key for each in unnamed if each.get_decoded().get(_SESSION_USER) == str(user_id)]
    return [key for key, owner in known.items() if owner == user_id] + older


def _erase_log(account: Account) -> None:
    """Delete the entries of the admin's log by the user and about the user, and empty others that name the person."""
    label = {"content_type__app_label": "access", "content_type__model": "user", "object_id": str(account.user_id)}
    LogEntry.objects.filter(Q(user=account.user_id) | Q(**label)).delete()
    changed = _any_of(_json_forms(account.texts))  # Django writes what has changed as JSON
    named = Q(object_repr__iregex=_any_of(account.texts)) | Q(change_message__iregex=changed)
    LogEntry.objects.filter(named).update(object_repr=_ERASED, change_message="")


def _any_of(texts: Iterable[str]) -> str:
    """Return the pattern of PostgreSQL for one of some texts as a word."""
    return rf"{_BEGIN}({'|'.join(map(re.escape, texts))})(?![[:alnum:]_])"


def _json_forms(texts: Iterable[str]) -> list[str]:
    """Return texts as JSON has them: letters that are not ASCII by their numbers, of which each case has its own."""
    cased = {form for each in texts for form in (each, each.upper(), each.title())}
    return sorted({json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in cased for ascii_only in (True, False)})
