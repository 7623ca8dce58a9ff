"""API errors of authentication, authorization, idempotency and preconditions."""

from __future__ import annotations

from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied


class ScopeForbidden(PermissionDenied):
    """The user has no role that permits writing in the scope."""

    default_detail = "This scope belongs to another user; its owner can give you a role in it."
    default_code = "scope-forbidden"


class Forbidden(PermissionDenied):
    """The user's role does not permit the action."""

    default_detail = "Your role in this scope does not allow it."
    default_code = "forbidden"


class BadCredentials(AuthenticationFailed):
    """The name and password do not match an active user."""

    default_detail = "No active user has this name and password."
    default_code = "bad-credentials"


class BadTicket(AuthenticationFailed):
    """The ticket is invalid for this stream."""

    default_detail = "This ticket is expired, revoked or for another stream; get a new one."
    default_code = "bad-ticket"


class BadIdempotencyKey(APIException):
    """The `Idempotency-Key` is malformed."""

    status_code = 400
    default_detail = "An Idempotency-Key has 1 to 255 visible ASCII characters."
    default_code = "bad-idempotency-key"


class IdempotencyKeyBusy(APIException):
    """Another request with this `Idempotency-Key` is in progress."""

    status_code = 409
    default_detail = "A request with this Idempotency-Key is in progress; retry in a moment."
    default_code = "idempotency-key-busy"
    wait = 1  # seconds, for Retry-After


class IdempotencyKeyReused(APIException):
    """An earlier request with another body used this `Idempotency-Key`."""

    status_code = 422
    default_detail = "This Idempotency-Key belongs to a request with another body; a new request needs a new key."
    default_code = "idempotency-key-reused"


class PreconditionFailed(APIException):
    """The version in `If-Match` is not the current version."""

    status_code = 412
    default_detail = "The resource was changed by another request; read it again."
    default_code = "version-conflict"


class TooManyTries(APIException):
    """Too many wrong passwords."""

    status_code = 429
    default_code = "too-many-tries"

    def __init__(self, *, seconds: int) -> None:
        super().__init__(f"Too many wrong passwords came from your address. Try again in {seconds} seconds.")
        self.wait = seconds


class Busy(APIException):
    """Too many password checks are queued."""

    status_code = 503
    default_detail = "Too many passwords are being checked. Try again in a moment."
    default_code = "busy"
    wait = 5


class TooManyQueuedRequests(Busy):
    """The request waited too long behind other requests of the same caller."""

    default_detail = "Your other requests are still in progress. Try again in a moment."
