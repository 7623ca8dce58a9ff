"""Values of unquoted YAML scalars: the core schema of YAML 1.2, restricted to JSON values.

`yes`, `no`, `on` and `off` are texts, as are dates, `12:30`, `1_000`, and numbers with a leading zero (`0777`).
"""

from __future__ import annotations

import math
import re

from pydantic import JsonValue

from common.sources.text_source import is_long_number

_CONSTANTS: dict[str, JsonValue] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
#: The supported tags with the types of their values.
TAGS: dict[str, tuple[type, ...]] = {
    "tag:yaml.org,2002:null": (type(None),),
    "tag:yaml.org,2002:bool": (bool,),
    "tag:yaml.org,2002:int": (int,),
    "tag:yaml.org,2002:float": (float, int),
}
TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


def plain_value(text: str) -> JsonValue:
    """Return the value of an unquoted scalar.

    Raises:
        ValueError: the scalar is a number that JSON cannot express.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NON_FINITE.fullmatch(text):
        raise ValueError(f"JSON has no number {text}; quote it if it is a text.")
    number = next((base for base in (_INTEGER, _OTHER_BASE, _REAL) if base.fullmatch(text)), None)
    if number is None:
        return text
    if is_long_number(text):
        raise ValueError(f"A number has {len(text):,} characters; quote it if it is a text.")
    if number is _REAL:
        return _finite(text)
    return int(text) if number is _INTEGER else int(text, 0)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"The number {text} is too large for JSON.")
    return value


def tagged_value(tag: str, text: str) -> JsonValue:
    """Return the value of a scalar with a tag.

    Raises:
        ValueError: the tag has no meaning in JSON, or the text is not one of its values.
    """
    if tag in TEXT_TAGS:
        return text
    if tag not in TAGS:
        raise ValueError(unreadable_tag(tag))
    value = plain_value(text)
    if not isinstance(value, TAGS[tag]) or (isinstance(value, bool) and bool not in TAGS[tag]):
        raise ValueError(f"{text[:100]!r} is not a valid {_short_tag(tag)}.")
    return value


def unreadable_tag(tag: str | None) -> str:
    """Return the error text for a tag that has no meaning in JSON."""
    return f"The tag {_short_tag(tag)} is not supported; leave it out."


def _short_tag(tag: str | None) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")[:100]
