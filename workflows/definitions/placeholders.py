"""Placeholders in the texts that a workflow sends to models: `{{ scope.type }}`.

Their values are names from the workflow itself. Texts of people and models are never values: prompts contain them as
data between tags. Nothing is evaluated. `{{` always opens a placeholder; the parser reports invalid ones. A quoted text
stands for itself: `{{ "{{" }}` is two braces, as in Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

#: Names of placeholders.
NAMES = {
    "workflow.id": "the workflow's id",
    "workflow.name": "the workflow's name",
    "step.id": "the step's id",
    "step.name": "the step's name",
    "document.type": "the type of the document that the step produces",
    "scope.type": "the type of the document's scope",
}
#: More names in steps with `for_each`.
ITEM_NAMES = {"item.key": "the key of the step's item"}

_OPENING = re.compile(r"\{\{|\{%")
_QUOTED_LENGTH = 40  # characters of an invalid placeholder in a message
_PLACEHOLDER = re.compile(r'\{\{[ \t]*(?:([A-Za-z_][\w.]*)|"([^"\n]*)")[ \t]*\}\}')


def placeholders(text: str) -> Iterator[str]:
    """Yield the names of the placeholders in a text, in order."""
    yield from (found[1] for found in _PLACEHOLDER.finditer(text) if found[1] is not None)


def is_template(text: str) -> bool:
    """Return whether a text contains placeholders."""
    return _PLACEHOLDER.search(text) is not None


def invalid_placeholders(text: str) -> Iterator[str]:
    """Yield the start of every invalid placeholder in a text."""
    start = 0
    while (found := _OPENING.search(text, start)) is not None:
        whole = _PLACEHOLDER.match(text, found.start())
        if whole is None:
            yield text[found.start() : found.start() + _QUOTED_LENGTH]
        start = found.end() if whole is None else whole.end()


def render_text(text: str, values: Mapping[str, str]) -> str:
    """Replace each placeholder by its value, once; placeholders without a value stay unchanged."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]) if found[2] is None else found[2], text)
