"""A difference as HTML for people: a fragment without scripts and styles, in which every text is escaped.

A `Speech` translates its words; without one they are English.

The page gives the look. It has to show `white-space: pre-wrap` for the class `diff-text`, and to hide `visually-hidden`
from sight alone: these texts tell readers of screens where deleted and inserted text begins and ends.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from gettext import NullTranslations
from itertools import accumulate
from typing import Protocol

from pydantic import JsonValue

from documents.comparison.diff import Change, ChangeKind, Difference
from documents.comparison.labels import SchemaView
from documents.comparison.values import ABSENT, MaybeValue
from documents.comparison.words import Run, tokens

_CONTEXT = 300  # characters of unchanged text that are shown before and after a change
_MAX_ITEMS = 200  # of one list or object that are shown
_JSON = json.JSONEncoder(ensure_ascii=False)
_MAX_DEPTH = 5  # of a value; what nests deeper is shown as JSON
#: Characters that HTML does not allow, and halves of pairs, which UTF-8 does not allow.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_TAGS = {"delete": ("del", "deleted"), "insert": ("ins", "inserted")}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    ".diff-text{white-space:pre-wrap}.diff-gap{opacity:.7}.diff-inserted{background:#d7f5dd;color:#0b3d17}"
    ".diff-deleted{background:#fbdcdc;color:#5c0f0f}.visually-hidden{position:absolute;width:1px;height:1px;"
    "overflow:hidden;clip-path:inset(50%);white-space:nowrap}"
)


class Speech(Protocol):
    """Translates texts, as the functions of the module `gettext` do."""

    def gettext(self, message: str, /) -> str:
        """Return a text in the language of the reader."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """Return the text for a number."""

    def pgettext(self, context: str, message: str, /) -> str:
        """Return a text that has several meanings in English."""


_ENGLISH = NullTranslations()


def render_html(difference: Difference, *, heading_level: int = 3, speech: Speech = _ENGLISH) -> str:
    """Return the difference as an HTML fragment: a summary, and a section with a heading for each change.

    Args:
        difference: What `compare` returned.
        heading_level: 2 to 6: the level of the headings, for the page around them.
        speech: Translates the words around the texts of the versions.
    """
    return "".join(_Writer(speech).difference(difference, f"h{heading_level}"))


def render_page(difference: Difference, *, title: str) -> str:
    """Return the difference as a whole HTML page with a look of its own, and without scripts."""
    shown = _escaped(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><main><h1 dir="auto">{shown}</h1>{render_html(difference, heading_level=2)}</main></body></html>\n'
    )


class _Writer:
    """Writes the fragment in one language."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech

    def difference(self, difference: Difference, heading: str) -> Iterator[str]:
        yield f'<div class="diff"><p class="diff-summary">{_escaped(self._summary(difference))}</p>'
        for change in difference.changes:
            yield f'<section class="diff-change diff-{change.kind.value}">'
            yield f'<{heading} class="diff-place" dir="auto">{self._place(change)}</{heading}>'
            yield from self._change(change)
            yield "</section>"
        yield "</div>"

    def _summary(self, difference: Difference) -> str:
        changes, speech = difference.changes, self._speech
        if not changes:
            return speech.gettext("The two versions are the same.")
        counts = Counter(change.kind for change in changes)
        kinds = ", ".join(f"{self._number(counts[kind])} {self._kind(kind)}" for kind in ChangeKind if counts[kind])
        text = speech.ngettext("%(number)s change: %(kinds)s.", "%(number)s changes: %(kinds)s.", len(changes))
        return text % {"number": self._number(len(changes)), "kinds": kinds}

    def _kind(self, kind: ChangeKind) -> str:
        pgettext = self._speech.pgettext
        match kind:
            case ChangeKind.ADDED:
                return pgettext("kind of a change", "added")
            case ChangeKind.REMOVED:
                return pgettext("kind of a change", "removed")
            case ChangeKind.CHANGED:
                return pgettext("kind of a change", "changed")
            case ChangeKind.MOVED:
                return pgettext("kind of a change", "moved")

    def _number(self, number: int) -> str:
        return f"{number:,}".replace(",", self._speech.pgettext("separator of thousands", ","))

    def _place(self, change: Change) -> str:
        return " \u203a ".join(map(_escaped, change.labels)) or _escaped(self._speech.gettext("The whole document"))

    def _change(self, change: Change) -> Iterator[str]:
        if change.kind is ChangeKind.MOVED:
            yield f'<p class="diff-what">{_escaped(self._move(change))}</p>'
            if not isinstance(change.after, dict | list):
                yield f'<div class="diff-value">{self._value(change.after, change.view)}</div>'
            return
        kind = self._kind(change.kind)
        yield f'<p class="diff-what">{_escaped(kind[:1].upper() + kind[1:])}</p>'
        if change.words:
            yield f'<p class="diff-text" dir="auto">{"".join(self._run(run, change.words) for run in change.words)}</p>'
            return
        if change.before is not ABSENT:
            yield self._marked("delete", self._value(change.before, change.view))
        if change.after is not ABSENT:
            yield self._marked("insert", self._value(change.after, change.view))

    def _move(self, change: Change) -> str:
        before, after = (self._number((index or 0) + 1) for index in (change.index_before, change.index))
        return self._speech.gettext("Moved from %(before)s to %(after)s") % {"before": before, "after": after}

    def _run(self, run: Run, runs: tuple[Run, ...]) -> str:
        if run.op != "equal":
            return self._marked(run.op, _escaped(run.text))
        return self._shortened(run.text, is_first=run is runs[0], is_last=run is runs[-1])

    def _marked(self, operation: str, content: str) -> str:
        gettext = self._speech.gettext
        word = _escaped(gettext("deleted:") if operation == "delete" else gettext("inserted:"))
        tag, name = _TAGS[operation]
        start, end = f'<span class="visually-hidden">[{word} </span>', '<span class="visually-hidden">]</span>'
        return f'<{tag} class="diff-{name}">{start}{content}{end}</{tag}>'

    def _shortened(self, text: str, *, is_first: bool, is_last: bool) -> str:
        """Return unchanged text without what is far from a change."""
        if len(text) <= 3 * _CONTEXT:
            return _escaped(text)
        head = "" if is_first else _cut(tokens(text[: 2 * _CONTEXT]))
        tail = "" if is_last else _cut(tokens(text[-2 * _CONTEXT :])[::-1], is_reversed=True)
        left = self._number(len(text) - len(head) - len(tail))
        gap = self._gap(self._speech.gettext("[… %(number)s unchanged characters …]") % {"number": left})
        return f"{_escaped(head)} {gap} {_escaped(tail)}"

    def _value(self, value: MaybeValue, view: SchemaView) -> str:
        """Return the HTML of any JSON value: texts as they are, objects with labels of their fields, lists as lists."""
        pieces: list[str] = []
        self._add_value(pieces, value, view, depth=0)
        return "".join(pieces)

    def _add_value(self, pieces: list[str], value: MaybeValue, view: SchemaView, *, depth: int) -> None:
        if isinstance(value, str):
            pieces.append(f'<p class="diff-text" dir="auto">{_escaped(value)}</p>')
        elif isinstance(value, dict) and value and depth < _MAX_DEPTH:
            pieces.append('<dl class="diff-fields">')
            for name in view.in_order(set(value))[:_MAX_ITEMS]:
                pieces.append(f'<dt dir="auto">{_escaped(view.label(name))}</dt><dd>')
                self._add_value(pieces, value[name], view.child(name), depth=depth + 1)
                pieces.append("</dd>")
            pieces.append(f"<dt>{self._more(value)}</dt></dl>" if len(value) > _MAX_ITEMS else "</dl>")
        elif isinstance(value, list) and value and depth < _MAX_DEPTH:
            pieces.append('<ol class="diff-items">')
            for index, item in enumerate(value[:_MAX_ITEMS]):
                pieces.append("<li>")
                self._add_value(pieces, item, view.item(index), depth=depth + 1)
                pieces.append("</li>")
            pieces.append(f"<li>{self._more(value)}</li></ol>" if len(value) > _MAX_ITEMS else "</ol>")
        else:
            pieces.append(f"<code>{_escaped(_JSON.encode(value))}</code>")

    def _more(self, value: dict[str, JsonValue] | list[JsonValue]) -> str:
        number = self._number(len(value) - _MAX_ITEMS)
        return self._gap(self._speech.gettext("[… %(number)s more …]") % {"number": number})

    def _gap(self, text: str) -> str:
        return f'<span class="diff-gap">{_escaped(text)}</span>'


def _cut(words: list[str], *, is_reversed: bool = False) -> str:
    """Return the first tokens, until there are `_CONTEXT` characters."""
    lengths = accumulate(map(len, words), initial=0)
    kept = [word for word, length in zip(words, lengths, strict=False) if length < _CONTEXT]
    return "".join(reversed(kept) if is_reversed else kept)


def _escaped(text: str) -> str:
    return html.escape(_UNSHOWABLE.sub("\ufffd", text))
