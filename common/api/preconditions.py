"""Conditional requests (RFC 9110, section 13): entity tags, `If-Match`, and 304.

A view sets its `ETag` to the version. The response carries `"<version>.<digest of the body>"`, because the body may
change while the version stays the same; the cost of an execution is an example. `If-Match` compares the versions
only, and accepts `"<version>"` too.
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
    """A conditional header that contains no valid entity tags."""

    status_code = 400
    default_code = "bad-precondition"


@dataclass(frozen=True, slots=True)
class EntityTags:
    """Value of a conditional header: entity tags as the client sent them, or any (`*`)."""

    tags: frozenset[str] = frozenset()
    is_any: bool = False

    @property
    def versions(self) -> frozenset[int] | None:
        """Versions of the strong tags, None for `*`. A weak tag never matches in `If-Match`."""
        if self.is_any:
            return None
        return frozenset(int(found[1]) for found in map(_VERSION.fullmatch, self.tags) if found)

    def matches(self, tag: str) -> bool:
        """Return whether the header contains a tag, by weak comparison."""
        return self.is_any or tag.removeprefix("W/") in {each.removeprefix("W/") for each in self.tags}


def parse_entity_tags(header: str, value: str) -> EntityTags:
    """Parse the value of a conditional header.

    Raises:
        BadPrecondition: the value contains no valid entity tags.
    """
    if value.strip() == "*":
        return EntityTags(is_any=True)
    if not _TAGS.fullmatch(value):
        raise BadPrecondition(f'{header} takes entity tags in double quotes, such as "4", separated by commas, or *.')
    return EntityTags(frozenset(re.findall(_TAG, value)))


def add_etag(response: Response) -> None:
    """Append a digest of the rendered body to the entity tag of a response."""
    digest = hashlib.blake2b(response.content, digest_size=_DIGEST_BYTES).hexdigest()
    response["ETag"] = f'{response["ETag"][:-1]}.{digest}"'


def make_not_modified(response: Response) -> None:
    """Turn a response into 304 without a body."""
    response.status_code = 304
    response.content = b""
    for header in ("Content-Type", "Content-Length"):
        response.headers.pop(header, None)
