"""Names that people give: of one form, and without characters that cannot be seen."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, ClassVar

from rest_framework import serializers

#: Control and format characters (zero width, direction), separators of lines, surrogates, private use.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
#: Characters of other categories that Unicode says to show as nothing (Default_Ignorable_Code_Point).
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")


def normalized(name: str) -> str:
    """Return a name in its one form: composed (NFC), without space around it."""
    return unicodedata.normalize("NFC", name.strip()).strip()


def spellings(name: str) -> list[str]:
    """Return what a row may be called that is meant by a name, the best first.

    Rows that are older than the one form have the name as it was given, composed or not.
    """
    one_form = normalized(name)
    return list(dict.fromkeys([name, one_form, unicodedata.normalize("NFD", one_form)]))


def has_hidden_characters(name: str) -> bool:
    """Return whether a name has invisible characters: two names would look the same."""
    if name.isascii():
        return not name.isprintable()
    return bool(_IGNORABLE.search(name)) or any(unicodedata.category(each) in _HIDDEN_CATEGORIES for each in name)


class NameField(serializers.CharField):
    """A key or a tag that people read: trimmed, composed, and all of it visible."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "hidden_character": "Control characters, and characters of no width or for direction, are not taken.",
    }

    def to_internal_value(self, data: Any) -> str:
        """Return the name in its one form.

        Raises:
            ValidationError: it is no text, or has characters that cannot be seen.
        """
        name = normalized(super().to_internal_value(data))
        if has_hidden_characters(name):
            self.fail("hidden_character")
        return name
