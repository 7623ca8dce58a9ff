"""What is left of stored values when a name, or all texts, are erased. Pure: it knows values, and no database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

#: Names in values that hold the name of a user, or a list of such names.
_USER = frozenset({"answered_by", "changed_by", "decided_by", "edited_by", "name", "requested_by", "voted_by"})
_USERS = frozenset({"assignees", "barred", "excluded"})
#: Names in the data of events that hold texts, with what takes their place.
_TEXTS: Mapping[str, Any] = {
    "title": "",
    "comment": "",
    "note": "",
    "error": "",
    "reason": "",
    "comments": [],
    "questions": [],
    "violations": [],
    "findings": [],
}


def without_name(value: Any, name: str, alias: str) -> Any:
    """Return a value in which a user has another name, and has written nothing: no answers, comments and notes."""
    if isinstance(value, list):
        return [without_name(each, name, alias) for each in value]
    if not isinstance(value, dict):
        return value
    own = _own_texts(value, name)
    named = {key: inner for key, inner in value.items() if _is_named(key, inner, name)}
    renamed = {
        key: [alias if each == name else each for each in inner] for key, inner in named.items() if inner != name
    }
    return {
        key: own[key] if key in own else renamed.get(key, alias) if key in named else without_name(inner, name, alias)
        for key, inner in value.items()
    }


def _is_named(key: str, value: Any, name: str) -> bool:
    """Return whether a value is the name of the user, or a list with it."""
    return (key in _USER and value == name) or (key in _USERS and isinstance(value, list) and name in value)


def _own_texts(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what takes the place of what the user has written in a value."""
    if value.get("answered_by") == name:  # a round of questions, or one answer in a provenance
        return {"answers": {}, "answer": None} if "answers" in value else {"answer": None}
    if value.get("decided_by") == name:
        return {"comment": "", "comments": []}
    return {"title": "", "note": ""} if value.get("edited_by") == name and "note" in value else {}


def without_texts(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event with its numbers, ids and names alone."""
    return {key: _TEXTS.get(key, value) for key, value in data.items()}


def names_any(text: str, words: Iterable[str]) -> bool:
    """Return whether a text contains one of some words, in any letter case, and not as a part of another word."""
    return any(re.search(rf"(?<![^\W_]){re.escape(each)}(?![^\W_])", text, re.IGNORECASE) for each in words)


def renamed_tags(tags: list[str], names: Mapping[str, str]) -> list[str]:
    """Return tags with others in place of those that are renamed."""
    return [names.get(each, each) for each in tags]
