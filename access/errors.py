"""Errors of authentication, authorization, idempotency and limits on passwords.

`BadCredentials` and `BadTicket` are exceptions of Django REST framework: it adds `WWW-Authenticate` only to its own.
"""

from __future__ import annotations

from rest_framework.exceptions import AuthenticationFailed

from common.errors import Conflict, Forbidden, Gone, Invalid, Malformed, NotFound, TooManyRequests, Unavailable


class ScopeForbidden(Forbidden):
    """The user has no role that permits writing in the scope."""

    code = "scope-forbidden"
    sentence = "This scope belongs to another user; its owner can give you a role in it."


class AuthorRequired(Forbidden):
    """The user is no author of workflows."""

    code = "author-required"
    sentence = "Only authors and staff change workflows. Staff can make you an author."


class RightMissing(Forbidden):
    """The token lacks the right that the operation needs; the problem names it as `right`."""

    code = "right-missing"

    def __init__(self, right: str, *, needs_all: bool = False) -> None:
        needed = "a login session, or a token of all rights without a scope" if needs_all else f"the right {right!r}"
        super().__init__(f"This needs {needed}.", right=right)


class BadCredentials(AuthenticationFailed):
    """The name and password do not match an active user."""

    default_detail = "No active user has this name and password."
    default_code = "bad-credentials"


class BadTicket(AuthenticationFailed):
    """The ticket is invalid for this stream."""

    default_detail = "This ticket is expired, revoked or for another stream; get a new one."
    default_code = "bad-ticket"


class BadIdempotencyKey(Malformed):
    """The `Idempotency-Key` is malformed."""

    code = "bad-idempotency-key"
    sentence = "An Idempotency-Key has 1 to 255 visible ASCII characters."


class IdempotencyKeyBusy(Conflict):
    """Another request with this `Idempotency-Key` is in progress."""

    code = "idempotency-key-busy"
    sentence = "A request with this Idempotency-Key is in progress; retry in a moment."
    retry_after = 1


class IdempotencyKeyReused(Invalid):
    """An earlier request with another body used this `Idempotency-Key`."""

    code = "idempotency-key-reused"
    sentence = "This Idempotency-Key belongs to a request with another body; a new request needs a new key."


class IdempotencySecret(Conflict):
    """The answer to the first request with this `Idempotency-Key` held a secret, which is not stored."""

    code = "idempotency-secret"
    sentence = "This Idempotency-Key was used already; its answer held a secret, which is shown only once."


class LastOwner(Conflict):
    """The scope would have no active owner."""

    code = "last-owner"
    sentence = "This is the last owner of the scope; make another user an owner first."


class UserUnknown(NotFound):
    """No active user has this name, or the user has no role in the scope."""


class TooManyInvitations(Conflict):
    """The scope has as many open invitations as it may have."""

    code = "too-many-invitations"


class InvitationEnded(Gone):
    """The invitation can no longer be accepted."""

    code = "invitation-ended"


class InvitationForAnother(Forbidden):
    """The invitation is for an address that the user does not have, or that is not verified."""

    code = "invitation-for-another"
    sentence = (
        "This invitation is for another e-mail address. An address counts when single sign-on has verified it, or "
        "when an administrator has entered it."
    )


class NameTaken(Invalid):
    """Another user has this name."""

    sentence = "Another user has this name."


class TooManyTries(TooManyRequests):
    """Too many wrong passwords."""

    code = "too-many-tries"

    def __init__(self, *, seconds: int) -> None:
        detail = f"Too many wrong passwords came from your address. Try again in {seconds} seconds."
        super().__init__(detail, retry_after=seconds)


class Busy(Unavailable):
    """Too many password checks are queued."""

    code = "busy"
    sentence = "Too many passwords are being checked. Try again in a moment."
    retry_after = 5


class TooManyQueuedRequests(Busy):
    """The request waited too long behind other requests of the same caller."""

    sentence = "Your other requests are still in progress. Try again in a moment."
