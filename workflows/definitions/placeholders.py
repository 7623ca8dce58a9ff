"""Placeholders in what a workflow says to its models: `{{ scope.type }}`.

They stand for names that the workflow itself gives, and never for what people or models wrote: that is data, and comes
between tags. Nothing is evaluated. `{{` opens a placeholder, always; what is none is found as a definition is parsed.
A text between quotes stands for itself: `{{ "{{" }}` is two braces, as in Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

#: What a placeholder may stand for.
NAMES = {
    "workflow.id": "the workflow's id",
    "workflow.name": "the workflow's name",
    "step.id": "the step's id",
    "step.name": "the step's name",
    "document.type": "the type of the document that the step makes",
    "scope.type": "the kind of place that the document is for",
}
#: Of a step that goes over a collection.
ITEM_NAMES = {"item.key": "the key of the item that the step is about"}

_OPENING = re.compile(r"\{\{|\{%")
_SHOWN = 40  # characters of what is no placeholder
_PLACEHOLDER = re.compile(r'\{\{[ \t]*(?:([A-Za-z_][\w.]*)|"([^"\n]*)")[ \t]*\}\}')


def placeholders(text: str) -> Iterator[str]:
    """Yield the names in a text, in their order."""
    yield from (found[1] for found in _PLACEHOLDER.finditer(text) if found[1] is not None)


def is_template(text: str) -> bool:
    """Whether anything in a text stands for something else."""
    return _PLACEHOLDER.search(text) is not None


def broken(text: str) -> Iterator[str]:
    """Yield the beginning of everything in a text that looks like a template, and is no placeholder."""
    start = 0
    while (found := _OPENING.search(text, start)) is not None:
        whole = _PLACEHOLDER.match(text, found.start())
        if whole is None:
            yield text[found.start() : found.start() + _SHOWN]
        start = found.end() if whole is None else whole.end()


def rendered(text: str, values: Mapping[str, str]) -> str:
    """Return a text with each placeholder replaced by its value, once; one without a value stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]) if found[2] is None else found[2], text)
