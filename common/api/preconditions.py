"""Conditional requests (RFC 9110, section 13): entity tags, what `If-Match` names, and 304.

A view gives the version as its `ETag`. What is sent is `"<version>.<digest of the answer>"`: an answer may change while
the version stays, as the cost of an execution does. `If-Match` compares versions alone, and takes `"<version>"` too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from rest_framework.exceptions import APIException
from rest_framework.response import Response

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,(?:[ \t]*,)*[ \t]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r'"([1-9][0-9]{0,9})(?:\.[^"]*)?"')
_DIGEST_BYTES = 12


class BadPrecondition(APIException):
    """A conditional header that names no entity tags."""

    status_code = 400
    default_code = "bad-precondition"


@dataclass(frozen=True, slots=True)
class EntityTags:
    """What a conditional header names: some entity tags as they were sent, or any (`*`)."""

    tags: frozenset[str] = frozenset()
    is_any: bool = False

    @property
    def versions(self) -> frozenset[int] | None:
        """The versions in strong tags, None for any: a weak tag never matches here."""
        if self.is_any:
            return None
        return frozenset(int(found[1]) for found in map(_VERSION.fullmatch, self.tags) if found)

    def names(self, tag: str) -> bool:
        """Return whether a tag is among them, be they weak or strong."""
        return self.is_any or tag.removeprefix("W/") in {each.removeprefix("W/") for each in self.tags}


def entity_tags(header: str, value: str) -> EntityTags:
    """Return what the value of a conditional header names.

    Raises:
        BadPrecondition: it names no entity tags.
    """
    if value.strip() == "*":
        return EntityTags(is_any=True)
    if not _TAGS.fullmatch(value):
        raise BadPrecondition(
            f'{header} takes entity tags in double quotes, such as "4", with commas between them, or *.'
        )
    return EntityTags(frozenset(re.findall(_TAG, value)))


def add_etag(response: Response) -> None:
    """Complete the entity tag of a rendered answer by a digest of it."""
    digest = hashlib.blake2b(response.content, digest_size=_DIGEST_BYTES).hexdigest()
    response["ETag"] = f'{response["ETag"][:-1]}.{digest}"'


def without_body(response: Response) -> None:
    """Make an answer one that says: nothing has changed."""
    response.status_code = 304
    response.content = b""
    for header in ("Content-Type", "Content-Length"):
        response.headers.pop(header, None)
