"""Filters of the templates that show how two versions of a workflow differ."""

from __future__ import annotations

import json
from typing import Any

from django import template

register = template.Library()

_CONTEXT = 160  # characters of unchanged text beside a change
_MAX_VALUE = 4_000  # characters of a value


@register.filter
def root_of(name: str) -> str:
    """Return the pointer to a field."""
    return f"/{name}"


@register.filter
def shortened(text: str) -> str:
    """Return an unchanged text with its middle left out."""
    return text if len(text) <= 2 * _CONTEXT else f"{text[:_CONTEXT]} … {text[-_CONTEXT:]}"


@register.filter
def as_text(value: Any) -> str:
    """Return a value as text: texts as they are, others as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]} …"
