"""User-chosen names: normalized to NFC, without invisible characters."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, ClassVar

from django.utils.translation import gettext_noop
from rest_framework import serializers

#: Control and format characters (zero width, direction), line separators, surrogates, private use.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
#: Characters of other categories that Unicode displays as nothing (Default_Ignorable_Code_Point).
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")

HIDDEN_CHARACTER = gettext_noop("Control, zero-width and text-direction characters are not allowed.")
DOTS = gettext_noop("No part between slashes may be `.` or `..`: browsers leave these out of addresses.")


def normalize_name(name: str) -> str:
    """Return the normalized form of a name: NFC, without surrounding white space."""
    return unicodedata.normalize("NFC", name.strip()).strip()


def in_words(identifier: object) -> str:
    """Return an identifier in words: `meeting-minutes` is `Meeting minutes`."""
    text = str(identifier).replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


def has_hidden_characters(name: str) -> bool:
    """Return whether a name has invisible characters, which make different names look equal."""
    if name.isascii():
        return not name.isprintable()
    return bool(_IGNORABLE.search(name)) or any(unicodedata.category(each) in _HIDDEN_CATEGORIES for each in name)


def has_dots(name: str) -> bool:
    """Return whether a part between slashes is `.` or `..`: clients leave these out of addresses (RFC 3986, 5.2.4)."""
    return not {".", ".."}.isdisjoint(name.split("/"))


class NameField(serializers.CharField):
    """A key or tag: trimmed, in NFC, without invisible characters, and with no part `.` or `..` between slashes."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "hidden_character": HIDDEN_CHARACTER,
        "dots": DOTS,
    }

    def to_internal_value(self, data: Any) -> str:
        """Return the normalized name.

        Raises:
            ValidationError: the value is not a text, has invisible characters, or has a part `.` or `..`.
        """
        name = normalize_name(super().to_internal_value(data))
        if has_hidden_characters(name):
            self.fail("hidden_character")
        if has_dots(name):
            self.fail("dots")
        return name
