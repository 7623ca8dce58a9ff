"""Invitations into root scopes: made by owners, accepted once with a secret token.

Only the hash of a token is stored. Locks are taken in this order: the scope, then the invitation.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from access.audit import Act, record
from access.errors import InvitationEnded, InvitationForAnother, TooManyInvitations
from access.models import Invitation as Invitation
from access.models import Scope, ScopeRole
from access.people.roles import locked_scope, raise_role
from access.permissions import NEEDED_ROLE, Action, Role, allows
from access.selectors import Person, scope_for
from access.services import lock_scopes
from access.url_secrets import invitation_token as invitation_token  # for pages
from access.user import User
from common.errors import NotFound
from common.limits import limits

LIFETIME = timedelta(days=7)
RETENTION = timedelta(days=30)  # after its expiry an invitation is shown to owners
_TOKEN_BYTES = 16


class InvitationStatus(StrEnum):
    """Whether an invitation can be accepted, and why not."""

    OPEN = "open"
    USED = "used"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


_ENDED = {
    InvitationStatus.USED: "This invitation has been used.",
    InvitationStatus.WITHDRAWN: "This invitation was withdrawn.",
    InvitationStatus.EXPIRED: "This invitation has expired. Ask for a new one.",
}


@dataclass(frozen=True, slots=True)
class InvitationDetails:
    """An invitation, and its status at a point in time."""

    row: Invitation
    status: InvitationStatus


@dataclass(frozen=True, slots=True)
class Accepted:
    """The role of a user after an invitation was accepted. A higher role than the offered one stays."""

    scope: Scope
    role: Role
    user: User


def hash_token(token: str) -> str:
    """Return the hash by which an invitation is found."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def status_of(row: Invitation, *, may_invite: bool, now: datetime) -> InvitationStatus:
    """Return the status of an invitation. If its inviter may no longer invite, it counts as withdrawn."""
    if row.accepted_at is not None:
        return InvitationStatus.USED
    if row.withdrawn_at is not None:
        return InvitationStatus.WITHDRAWN
    if row.expires_at <= now:
        return InvitationStatus.EXPIRED
    return InvitationStatus.OPEN if may_invite else InvitationStatus.WITHDRAWN


def _may_invite(user: User | None, roles: Mapping[int, Role]) -> bool:
    """Whether a user may invite, by the roles of users in the scope."""
    if user is None or not user.is_active:
        return False
    return user.is_staff or allows(roles.get(user.pk), NEEDED_ROLE[Action.INVITE])


def _inviters_roles(rows: Sequence[Invitation]) -> dict[int, Role]:
    """Return the roles of the inviters of a scope's invitations, by user."""
    users = {row.invited_by_id for row in rows if row.invited_by_id is not None}
    found = ScopeRole.objects.filter(scope_id__in={row.scope_id for row in rows}, user_id__in=users)
    return {user_id: Role(role) for user_id, role in found.values_list("user_id", "role")}


def details(rows: Sequence[Invitation], *, now: datetime) -> list[InvitationDetails]:
    """Return invitations of one scope with their status; one query for all."""
    roles = _inviters_roles(rows)
    return [
        InvitationDetails(row, status_of(row, may_invite=_may_invite(row.invited_by, roles), now=now)) for row in rows
    ]


def invitations(*, user: Person, scope_type: str, scope_key: str) -> QuerySet[Invitation]:
    """Return the invitations into a root scope, newest first, with their users.

    Raises:
        NotFound: there is no such scope, or none that the user may see. Forbidden: the user is not its owner.
    """
    scope = scope_for(user, Action.INVITE, scope_type=scope_type, scope_key=scope_key)
    rows = Invitation.objects.filter(scope=scope).select_related("scope", "invited_by", "accepted_by")
    return rows.order_by("-id")


def find_by_hash(token_hash: str) -> Invitation | None:
    """Return the invitation with this hash of its token, in any status; None if there is none."""
    return Invitation.objects.select_related("scope", "invited_by").filter(token_hash=token_hash).first()


@transaction.atomic
def invite(
    *, user: User, scope_type: str, scope_key: str, role: Role, email: str = "", now: datetime
) -> tuple[Invitation, str]:
    """Store an invitation, and return it with its token, which is shown only now.

    Raises:
        NotFound: there is no such scope, or none that the user may see.
        Forbidden: the user is no owner of the scope.
        TooManyInvitations: the scope has as many open invitations as it may have.
    """
    scope = locked_scope(user, Action.INVITE, scope_type=scope_type, scope_key=scope_key)
    rows = Invitation.objects.filter(scope=scope, accepted_at=None, withdrawn_at=None, expires_at__gt=now)
    found = details(list(rows.select_related("invited_by")), now=now)
    if sum(each.status is InvitationStatus.OPEN for each in found) >= limits().open_invitations:
        detail = f"The scope has {limits().open_invitations} open invitations; withdraw some first."
        raise TooManyInvitations(detail)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = Invitation.objects.create(
        scope=scope,
        role=role,
        email=email,
        token_hash=hash_token(token),
        invited_by=user,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    record(Act.INVITATION_MAKE, "invitation", row.id, part=role, root_id=scope.id)
    return row, token


@transaction.atomic
def withdraw(*, user: User, scope_type: str, scope_key: str, invitation_id: UUID, now: datetime) -> None:
    """Withdraw an invitation. Repeating it changes nothing.

    Raises:
        NotFound: there is no such scope or invitation, or none that the user may see.
        Forbidden: the user is no owner of the scope.
        InvitationEnded: it has been used.
    """
    scope = scope_for(user, Action.INVITE, scope_type=scope_type, scope_key=scope_key)
    lock_scopes([scope.id])
    row = Invitation.objects.select_for_update().filter(scope=scope, id=invitation_id).first()
    if row is None:
        raise NotFound("There is no such invitation.")
    if row.accepted_at is not None:
        raise _ended(InvitationStatus.USED)
    if row.withdrawn_at is None:
        row.withdrawn_at = now
        row.save(update_fields=["withdrawn_at"])
        record(Act.INVITATION_WITHDRAW, "invitation", row.id, part=row.role, root_id=scope.id)


def accept(*, user: User, token: str, now: datetime) -> Accepted:
    """Accept an invitation: the user gets its role, unless the present role includes it.

    Raises:
        NotFound: there is no such invitation.
        InvitationEnded: it was used, withdrawn or has expired.
        InvitationForAnother: it is for an address that is not the user's, or not verified.
    """
    return accept_by_hash(user=user, token_hash=hash_token(token), now=now)


def accept_by_hash(*, user: User, token_hash: str, now: datetime) -> Accepted:
    """Accept an invitation by the hash of its token: see `accept`."""
    return _accept(lambda _: user, token_hash, now)


def accept_as_new(*, make_user: Callable[[], User], token_hash: str, now: datetime) -> Accepted:
    """Accept an invitation as a user who is made in the same transaction; see `accept`.

    Raises:
        InvitationForAnother: the invitation is for an address: that of a new account is not verified.
    """

    def make(row: Invitation) -> User:
        if row.email:
            raise InvitationForAnother
        return make_user()

    return _accept(make, token_hash, now)


@transaction.atomic
def _accept(user_of: Callable[[Invitation], User], token_hash: str, now: datetime) -> Accepted:
    found = find_by_hash(token_hash)
    if found is None:
        raise NotFound("There is no such invitation.")
    lock_scopes([found.scope_id])
    row = Invitation.objects.select_for_update().filter(id=found.id).first()
    if row is None:  # it was deleted meanwhile
        raise NotFound("There is no such invitation.")
    row.scope = found.scope
    require_open(row, now=now)
    user = user_of(row)
    if not is_for(row, user):
        raise InvitationForAnother
    role = raise_role(row.scope, user, Role(row.role))
    row.accepted_at, row.accepted_by = now, user
    row.save(update_fields=["accepted_at", "accepted_by"])
    record(Act.INVITATION_ACCEPT, "invitation", row.id, part=row.role, root_id=row.scope_id, user_id=user.pk)
    return Accepted(row.scope, role, user)


def require_open(row: Invitation, *, now: datetime) -> None:
    """Check that an invitation can be accepted.

    Raises:
        InvitationEnded: it was used, withdrawn or has expired.
    """
    [found] = details([row], now=now)
    if found.status is not InvitationStatus.OPEN:
        raise _ended(found.status)


def _ended(status: InvitationStatus) -> InvitationEnded:
    return InvitationEnded(_ENDED[status], invitation=status.value)


def is_for(row: Invitation, user: User) -> bool:
    """Return whether the user may accept an invitation: it names no address, or one that is verified as the user's."""
    return not row.email or (user.email_verified_at is not None and _folded(user.email) == _folded(row.email))


def _folded(email: str) -> str:
    """Return an address by which two are compared: only in ASCII, upper and lower case are the same."""
    return "".join(each.lower() if each.isascii() else each for each in email.strip())


def remove_old(*, now: datetime) -> None:
    """Delete invitations that expired more than `RETENTION` ago."""
    Invitation.objects.filter(expires_at__lt=now - RETENTION).delete()
