"""Links of invitations: their path contains a secret, which no log may show.

The application takes the token out of the path before any other code reads it, as with tickets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from django.http import HttpRequest

#: The path of all invitations, as logs and Django see it.
HIDDEN_PATH = "/invitations/token/"
_SCOPE_KEY = "scriptorium.invitation"  # in an ASGI scope
#: Also with more slashes, and with something behind it, as programs of mail make it.
_LINK = re.compile(r"/+invitations/+([^/?]+).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class InvitationToken:
    """The token in the path of a request. Its repr, and so every log, hides it."""

    text: str = field(repr=False)


def hide_token(path: str) -> str:
    """Return a path as logs may show it."""
    return HIDDEN_PATH if _LINK.fullmatch(unquote(path)) else path


def extract_token(scope: dict[str, Any]) -> None:
    """Move the token of an invitation's link out of the path of a request."""
    found = _LINK.fullmatch(scope.get("path", ""))
    if found is not None:
        scope[_SCOPE_KEY] = InvitationToken(found[1])
        scope["path"], scope["raw_path"] = HIDDEN_PATH, HIDDEN_PATH.encode()


def token_of(request: HttpRequest, in_path: str) -> str:
    """Return the token of a request; `in_path` if the server has not moved it, as in tests."""
    hidden: InvitationToken | None = getattr(request, "scope", {}).get(_SCOPE_KEY)
    return in_path if hidden is None else hidden.text
