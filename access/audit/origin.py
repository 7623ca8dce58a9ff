"""Where an act comes from: the user, the credential and the address of the present request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from access.audit.acts import Via
from access.models import Token
from access.user import User
from common.present_request import network_of, present_request

_for_provider: ContextVar[bool] = ContextVar("acting for the provider", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who acts, with which credential, from where. Its repr, and so every log, hides the key of the session."""

    via: Via = Via.COMMAND
    user_id: int | None = None
    token: str = ""  # id of the token
    session_key: str | None = field(default=None, repr=False)
    address: str = ""
    request_id: str = ""


@contextmanager
def acting_for_provider() -> Iterator[None]:
    """Name the provider of single sign-on as the origin of all acts within the block: they have no user."""
    token = _for_provider.set(True)
    try:
        yield
    finally:
        _for_provider.reset(token)


def present_origin() -> Origin:
    """Return the origin of an act that happens now. Without a request it is a command, which has no user."""
    request = present_request()
    if _for_provider.get():
        address = "" if request is None else network_of(request)
        return Origin(via=Via.OIDC, address=address, request_id=getattr(request, "request_id", ""))
    if request is None:
        return Origin()
    user = getattr(request, "user", None)
    is_known = isinstance(user, User) and user.pk is not None
    token = getattr(request, "auth", None)
    session = getattr(request, "session", None)
    uses_session = is_known and not isinstance(token, Token) and session is not None
    return Origin(
        via=_way_of(request.path),
        user_id=user.pk if is_known else None,  # type: ignore[union-attr]  # it is a user then
        token=str(token.id) if isinstance(token, Token) else "",
        session_key=session.session_key if uses_session else None,  # type: ignore[union-attr]  # there is one then
        address=network_of(request),
        request_id=getattr(request, "request_id", ""),
    )


def _way_of(path: str) -> Via:
    if path.startswith("/api/"):
        return Via.API
    return Via.ADMIN if path.startswith("/admin/") else Via.CONSOLE
