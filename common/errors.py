"""Anticipated failures: the base class, and the kinds that every room uses. Pure; the engine imports it.

DomainError
├── Malformed             a part of the request cannot be parsed
├── Forbidden             the caller's role does not permit the action
├── NotFound              the object does not exist, or the caller may not see it
├── Conflict              the current state does not allow the operation
│   └── VersionConflict   another client changed the object first
├── Gone                  the object existed, and can no longer be used
│   └── Erased            its contents were erased
├── PreconditionFailed    the version that the client sent is not current
├── PreconditionRequired  the client has to send the version that it read
├── StaleWrite            the rows were changed after they were read
├── TooLarge              the request body exceeds the limit
├── UnsupportedType       the server does not accept bodies of this kind
├── Invalid               the values are not valid; `errors` says where
├── TooManyRequests       the caller has reached a limit
├── Unavailable           the server cannot do it now
└── InternalError         an unexpected error, which is logged

Rooms add subclasses in their own modules. `orchestrator/problems.py` maps each kind to an HTTP status, and
`docs/errors.md` lists their codes.

Some errors are exceptions of Django REST framework, because it handles only its own classes in these places: failed
authentication, which needs `WWW-Authenticate` (`access/errors.py`), bodies that a parser rejects
(`common/api/parsers.py`), and invalid fields of serializers (`common/api/serializers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, JsonValue


class FieldError(BaseModel):
    """An invalid value: its place (RFC 6901 pointer), a stable code, and a text for people."""

    model_config = ConfigDict(frozen=True)

    pointer: str
    code: str
    detail: str

    def __str__(self) -> str:
        """Return the place and the text."""
        return f"{self.pointer}: {self.detail}"


class DomainError(Exception):
    """Base class of all anticipated failures.

    `code` is stable; a subclass without its own has that of its base class. `sentence` is the default text.

    Args:
        detail: The text for people; `sentence` if missing.
        errors: The invalid values.
        retry_after: Seconds after which the same request may succeed.
        context: Further values, which clients may see.
    """

    code = "domain-error"
    sentence = ""
    retry_after: float | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after: float | None = None,
        **context: JsonValue,
    ) -> None:
        super().__init__(self.sentence if detail is None else detail)
        self.errors = list(errors)
        self.context = context
        if retry_after is not None:
            self.retry_after = retry_after

    @property
    def explanation(self) -> str:
        """What a page tells: the details of the invalid values, or the text."""
        return " ".join(each.detail for each in self.errors) or str(self)


class Malformed(DomainError):
    """A header, the query or the host of the request cannot be parsed."""

    code = "bad-request"
    sentence = "The request is invalid."


class Forbidden(DomainError):
    """The caller's role does not permit the action."""

    code = "forbidden"
    sentence = "Your role in this scope does not allow it."


class NotFound(DomainError):
    """The object does not exist, or the caller may not see it."""

    code = "not-found"
    sentence = "Not found."


class Conflict(DomainError):
    """The current state does not allow the operation."""

    code = "conflict"


class VersionConflict(Conflict):
    """Another client changed the object first; read it again."""

    code = "version-conflict"

    def __init__(self, what: str, *, expected: int | list[JsonValue]) -> None:
        super().__init__(f"{what} was changed by another client; read it again.", expected_version=expected)


class Gone(DomainError):
    """The object existed, and can no longer be used."""

    code = "gone"
    sentence = "This can no longer be used."


class Erased(Gone):
    """The contents of an execution or of a document version were erased. Numbers, hashes and provenance stay."""

    code = "erased"
    sentence = "The contents were erased."


class PreconditionFailed(DomainError):
    """The version that the client sent, as in `If-Match`, is not current. The code is that of a version conflict."""

    code = VersionConflict.code
    sentence = "The resource was changed by another request; read it again."


class PreconditionRequired(DomainError):
    """The client has to send the version that it read."""

    code = "precondition-required"
    sentence = "This request needs If-Match with the version that you read."


class StaleWrite(DomainError):
    """Another writer changed the rows after they were read. Nothing was written."""

    code = "stale-write"
    sentence = "Another writer has changed the rows."


class TooLarge(DomainError):
    """The request body exceeds the limit."""

    code = "too-large"
    sentence = "The request body is too large."


class UnsupportedType(DomainError):
    """The server does not accept bodies of this kind."""

    code = "unsupported-media-type"


class Invalid(DomainError):
    """Values that are not valid; nothing was changed."""

    code = "invalid"
    sentence = "The request has invalid values."

    def __init__(self, detail: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail, errors=errors)


class TooManyRequests(DomainError):
    """The caller has reached a limit."""

    code = "too-many-requests"


class Unavailable(DomainError):
    """The server cannot do it now."""

    code = "unavailable"


class InternalError(DomainError):
    """An unexpected error, which is logged."""

    code = "internal"
    sentence = "Unexpected error; the server log has the details under this request id."
