"""Whom the provider names: the claims of an ID token and of the user information, brought into one safe form. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from access.oidc.faults import Fault, LoginFailed
from common.names import has_hidden_characters, normalize_name

SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0, section 2
_NAME_CHARACTERS = 150  # of the columns of names
_ADDRESS_CHARACTERS = 254
_NUMBERED_NAMES = 50
_ADDRESS = ("email", "email_verified")
_NOT_IN_A_USER_NAME = re.compile(r"[^\w.@+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person as the provider knows her. Issuer and subject identify her; all else may change."""

    issuer: str
    subject: str
    user_name: str = "user"  # a wish: another user may have it
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    is_email_verified: bool = False
    denies_email: bool = False  # the provider says that it has not verified the address
    groups: frozenset[str] = frozenset()


def identity_of(claims: Mapping[str, Any], *, issuer: str, groups_claim: str) -> Identity:
    """Return the person that the claims name.

    Raises:
        LoginFailed: the subject is missing or malformed, or the provider left out the groups because there are many.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARACTERS or has_hidden_characters(subject):
        raise LoginFailed(Fault.REFUSED, "the claims have no valid subject")
    email = _email_of(claims)
    return Identity(
        issuer=issuer,
        subject=subject,
        user_name=_user_name_of(claims, email),
        first_name=_text(claims, "given_name"),
        last_name=_text(claims, "family_name"),
        email=email,
        is_email_verified=bool(email) and claims.get("email_verified") in (True, "true"),
        denies_email=claims.get("email_verified") in (False, "false"),
        groups=_groups_of(claims, groups_claim),
    )


def joined_claims(token: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims of an ID token and of the user information, which counts before.

    The address and whether it is verified come from the same source.
    """
    address = about if "email" in about else token
    joined = {name: value for name, value in {**token, **about}.items() if name not in _ADDRESS}
    return joined | {name: address[name] for name in _ADDRESS if name in address}


def numbered_names(wish: str) -> Iterator[str]:
    """Yield a user name, then the same with a number, which still has the permitted length."""
    yield wish
    for number in range(2, _NUMBERED_NAMES):
        yield f"{wish[: _NAME_CHARACTERS - 3]}-{number}"


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        return ""
    text = normalize_name(value)[:_NAME_CHARACTERS]
    return "" if has_hidden_characters(text) else text


def _user_name_of(claims: Mapping[str, Any], email: str) -> str:
    """Return a valid user name: of the first claim that has one, with a hyphen in place of other characters."""
    wishes = (_text(claims, "preferred_username"), _text(claims, "nickname"), email.partition("@")[0])
    for wish in wishes:
        name = _NOT_IN_A_USER_NAME.sub("-", AbstractUser.normalize_username(wish)).strip("-")[:_NAME_CHARACTERS]
        if name:
            return name
    return "user"


def _email_of(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    if not isinstance(email, str) or len(email) > _ADDRESS_CHARACTERS:
        return ""
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


def _groups_of(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the groups. A claim that is missing names no group.

    Raises:
        LoginFailed: the provider refers to another place for them. Without that, all roles would be taken.
    """
    elsewhere = claims.get("_claim_names")
    if name not in claims and isinstance(elsewhere, dict) and name in elsewhere:
        raise LoginFailed(Fault.GROUPS, f"the provider does not send the claim {name}, but refers to another place")
    value = claims.get(name)
    values = value if isinstance(value, list) else [value]
    return frozenset(each for each in values if isinstance(each, str))
