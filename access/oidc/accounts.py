"""Users who log in by single sign-on: found by issuer and subject, and given what their groups give."""

from __future__ import annotations

import secrets
from itertools import chain

from django.db import IntegrityError, transaction

from access.audit import Act, record
from access.models import ExternalAccount, Scope, ScopeRole
from access.oidc.faults import Fault, LoginFailed
from access.oidc.groups import RIGHTS, Given, ScopeName
from access.oidc.identity import Identity, numbered_names
from access.user import User
from common.database.server import database_now


@transaction.atomic
def sign_on(*, identity: Identity, given: Given) -> User:
    """Return the user of a person, made at the first log-in, with the roles and rights that the groups give now.

    Raises:
        LoginFailed: the user is deactivated.
    """
    account = _account_of(identity) or _new_account(identity)
    user = User.objects.select_for_update().get(pk=account.user_id)
    if not user.is_active:
        raise LoginFailed(Fault.INACTIVE, f"the user {user.pk} is deactivated")
    _set_profile(user, identity)
    _set_rights(user, account, given.rights)
    _set_roles(user, given.roles)
    return user


def _account_of(identity: Identity) -> ExternalAccount | None:
    """Return the account, locked: log-ins of one person at once follow each other."""
    rows = ExternalAccount.objects.select_for_update().filter(issuer=identity.issuer, subject=identity.subject)
    return rows.first()


def _new_account(identity: Identity) -> ExternalAccount:
    """Make a user and the account; or return the account that a concurrent log-in has made."""
    for name in chain(numbered_names(identity.user_name), [f"user-{secrets.token_hex(8)}"]):
        if User.objects.filter(username__iexact=name).exists():
            continue
        try:
            with transaction.atomic():
                user = User(username=name, email=identity.email)
                user.set_unusable_password()
                user.save()
                record(Act.USER_ADD, "user", user.pk, user_id=user.pk)
                return ExternalAccount.objects.create(issuer=identity.issuer, subject=identity.subject, user=user)
        except IntegrityError:  # a concurrent log-in took the name, or made the account
            if (account := _account_of(identity)) is not None:
                return account
    raise LoginFailed(Fault.REFUSED, "no user name is free")


def _set_profile(user: User, identity: Identity) -> None:
    """Take over the person's name, and her address if the provider has verified it."""
    user.first_name = identity.first_name or user.first_name
    user.last_name = identity.last_name or user.last_name
    if identity.is_email_verified:
        user.email, user.email_verified_at = identity.email, database_now()
    user.save(update_fields=["first_name", "last_name", "email", "email_verified_at"])


def _set_rights(user: User, account: ExternalAccount, wanted: frozenset[str]) -> None:
    """Give rights, and take those that groups gave before. A right that a person gave stays."""
    by_group = set(account.rights_by_group)
    for right, column in RIGHTS.items():
        has = bool(getattr(user, column))
        if right in wanted and not has:
            by_group.add(right)
        elif right not in wanted and right in by_group:
            by_group.discard(right)
        else:
            continue
        setattr(user, column, right in wanted)
        record(Act.USER_CHANGE, "user", user.pk, part=right, user_id=user.pk)
    user.save(update_fields=list(RIGHTS.values()))
    account.rights_by_group = sorted(by_group)
    account.save(update_fields=["rights_by_group"])


def _set_roles(user: User, wanted: dict[ScopeName, str]) -> None:
    """Give roles, and take those that groups gave before. A role that a person gave stays, and so does an owner's."""
    rows = (
        ScopeRole.objects.filter(user=user).select_related("scope").order_by("scope_id").select_for_update(of=("self",))
    )
    have = {ScopeName(type=row.scope.type, key=row.scope.key): row for row in rows}
    for name, row in have.items():
        if row.by_group and wanted.get(name) != row.role:
            row.delete()
            record(Act.ROLE_TAKE, "user", user.pk, root_id=row.scope_id, user_id=user.pk)
    kept = {name for name, row in have.items() if not row.by_group or wanted.get(name) == row.role}
    missing = sorted((name for name in wanted if name not in kept), key=lambda name: (name.type, name.key))
    for name in missing:
        scope = Scope.objects.filter(parent=None, type=name.type, key=name.key).first()
        if scope is not None:  # else its first user will own it
            given = {"role": wanted[name], "by_group": True}
            if ScopeRole.objects.get_or_create(scope=scope, user=user, defaults=given)[1]:
                record(Act.ROLE_GIVE, "user", user.pk, root_id=scope.id, user_id=user.pk)
