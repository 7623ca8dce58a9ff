"""Refusals of this room."""

from __future__ import annotations

from rest_framework.exceptions import APIException, AuthenticationFailed, PermissionDenied


class ScopeForbidden(PermissionDenied):
    """Starting or storing something in a scope that belongs to somebody else."""

    default_detail = "This scope belongs to somebody else; its owner can give you a role in it."
    default_code = "scope-forbidden"


class Forbidden(PermissionDenied):
    """A role that does not reach."""

    default_detail = "Your role in this scope does not allow it."
    default_code = "forbidden"


class BadCredentials(AuthenticationFailed):
    """A name and password that do not fit together."""

    default_detail = "No active user has this name and password."
    default_code = "bad-credentials"


class BadTicket(AuthenticationFailed):
    """A ticket that opens nothing here."""

    default_detail = "This ticket is expired, revoked or for another stream; get a new one."
    default_code = "bad-ticket"


class BadIdempotencyKey(APIException):
    """An `Idempotency-Key` that is no key."""

    status_code = 400
    default_detail = "An Idempotency-Key has 1 to 255 visible ASCII characters."
    default_code = "bad-idempotency-key"


class IdempotencyKeyBusy(APIException):
    """A request with this `Idempotency-Key` is under way."""

    status_code = 409
    default_detail = "A request with this Idempotency-Key is under way; send it again in a moment."
    default_code = "idempotency-key-busy"
    wait = 1  # seconds: the answer's Retry-After


class IdempotencyKeyReused(APIException):
    """An `Idempotency-Key` that belongs to a request with other values."""

    status_code = 422
    default_detail = "This Idempotency-Key belongs to a request with another body; a new request needs a new key."
    default_code = "idempotency-key-reused"


class PreconditionFailed(APIException):
    """An `If-Match` that names another version than the present one."""

    status_code = 412
    default_detail = "It was changed meanwhile; read it again."
    default_code = "version-conflict"


class TooManyTries(APIException):
    """Passwords were tried too often."""

    status_code = 429
    default_code = "too-many-tries"

    def __init__(self, *, seconds: int) -> None:
        super().__init__(f"Too many wrong passwords came from your address. Try again in {seconds} seconds.")
        self.wait = seconds


class Busy(APIException):
    """More passwords are to be checked than can be at once."""

    status_code = 503
    default_detail = "Too many passwords are being checked now. Try again in a moment."
    default_code = "busy"
    wait = 5


class TooManyWaiting(Busy):
    """A request has waited for long behind others of the same caller."""

    default_detail = "Other requests of yours are under way for a long time. Try again in a moment."
