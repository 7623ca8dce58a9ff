"""A difference as HTML for people: a fragment without scripts and styles, in which every text is escaped.

The page gives the look. It has to show `white-space: pre-wrap` for the class `diff-text`, and to hide `visually-hidden`
from sight alone: these texts tell readers of screens where deleted and inserted text begins and ends.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

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
_VERBS = {
    ChangeKind.ADDED: "Added",
    ChangeKind.REMOVED: "Removed",
    ChangeKind.CHANGED: "Changed",
    ChangeKind.MOVED: "Moved",
}
_WORDS = {"delete": ("del", "deleted"), "insert": ("ins", "inserted")}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    ".diff-text{white-space:pre-wrap}.diff-gap{opacity:.7}.diff-inserted{background:#d7f5dd;color:#0b3d17}"
    ".diff-deleted{background:#fbdcdc;color:#5c0f0f}.visually-hidden{position:absolute;width:1px;height:1px;"
    "overflow:hidden;clip-path:inset(50%);white-space:nowrap}"
)


def render_html(difference: Difference, *, heading_level: int = 3) -> str:
    """Return the difference as an HTML fragment: a summary, and a section with a heading for each change.

    Args:
        difference: What `compare` returned.
        heading_level: 2 to 6: the level of the headings, for the page around them.
    """
    return "".join(_difference(difference, f"h{heading_level}"))


def render_page(difference: Difference, *, title: str) -> str:
    """Return the difference as a whole HTML page with a look of its own, and without scripts."""
    shown = _escaped(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{shown}</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><main><h1 dir="auto">{shown}</h1>{render_html(difference, heading_level=2)}</main></body></html>\n'
    )


def _difference(difference: Difference, heading: str) -> Iterator[str]:
    yield f'<div class="diff"><p class="diff-summary">{_summary(difference)}</p>'
    for change in difference.changes:
        yield f'<section class="diff-change diff-{change.kind.value}">'
        yield f'<{heading} class="diff-place" dir="auto">{_place(change)}</{heading}>'
        yield from _change(change)
        yield "</section>"
    yield "</div>"


def _summary(difference: Difference) -> str:
    changes = difference.changes
    if not changes:
        return "The two versions are the same."
    counts = Counter(change.kind for change in changes)
    kinds = ", ".join(f"{counts[kind]:,} {kind.value}" for kind in ChangeKind if counts[kind])
    return f"{len(changes):,} {'change' if len(changes) == 1 else 'changes'}: {kinds}."


def _place(change: Change) -> str:
    return " \u203a ".join(map(_escaped, change.labels)) or "The whole document"


def _change(change: Change) -> Iterator[str]:
    if change.kind is ChangeKind.MOVED:
        yield f'<p class="diff-what">{_move(change)}</p>'
        if not isinstance(change.after, dict | list):
            yield f'<div class="diff-value">{_value(change.after, change.view)}</div>'
        return
    yield f'<p class="diff-what">{_VERBS[change.kind]}</p>'
    if change.words:
        yield f'<p class="diff-text" dir="auto">{"".join(_run(run, change.words) for run in change.words)}</p>'
        return
    if change.before is not ABSENT:
        yield _marked("delete", _value(change.before, change.view))
    if change.after is not ABSENT:
        yield _marked("insert", _value(change.after, change.view))


def _move(change: Change) -> str:
    places = (change.index_before or 0) + 1, (change.index or 0) + 1
    return f"Moved from {places[0]:,} to {places[1]:,}"


def _run(run: Run, runs: tuple[Run, ...]) -> str:
    if run.op != "equal":
        return _marked(run.op, _escaped(run.text))
    return _shortened(run.text, is_first=run is runs[0], is_last=run is runs[-1])


def _marked(operation: str, content: str) -> str:
    tag, word = _WORDS[operation]
    start, end = f'<span class="visually-hidden">[{word}: </span>', '<span class="visually-hidden">]</span>'
    return f'<{tag} class="diff-{word}">{start}{content}{end}</{tag}>'


def _shortened(text: str, *, is_first: bool, is_last: bool) -> str:
    """Return unchanged text without what is far from a change."""
    if len(text) <= 3 * _CONTEXT:
        return _escaped(text)
    head = "" if is_first else _cut(tokens(text[: 2 * _CONTEXT]))
    tail = "" if is_last else _cut(tokens(text[-2 * _CONTEXT :])[::-1], is_reversed=True)
    left = len(text) - len(head) - len(tail)
    gap = f'<span class="diff-gap">[… {left:,} unchanged characters …]</span>'
    return f"{_escaped(head)} {gap} {_escaped(tail)}"


def _cut(words: list[str], *, is_reversed: bool = False) -> str:
    """Return the first tokens, until there are `_CONTEXT` characters."""
    lengths = accumulate(map(len, words), initial=0)
    kept = [word for word, length in zip(words, lengths, strict=False) if length < _CONTEXT]
    return "".join(reversed(kept) if is_reversed else kept)


def _value(value: MaybeValue, view: SchemaView) -> str:
    """Return the HTML of any JSON value: texts as they are, objects with the labels of their fields, lists as lists."""
    pieces: list[str] = []
    _add_value(pieces, value, view, depth=0)
    return "".join(pieces)


def _add_value(pieces: list[str], value: MaybeValue, view: SchemaView, *, depth: int) -> None:
    if isinstance(value, str):
        pieces.append(f'<p class="diff-text" dir="auto">{_escaped(value)}</p>')
    elif isinstance(value, dict) and value and depth < _MAX_DEPTH:
        pieces.append('<dl class="diff-fields">')
        for name in view.in_order(set(value))[:_MAX_ITEMS]:
            pieces.append(f'<dt dir="auto">{_escaped(view.label(name))}</dt><dd>')
            _add_value(pieces, value[name], view.child(name), depth=depth + 1)
            pieces.append("</dd>")
        pieces.append(f"<dt>{_more(value)}</dt></dl>" if len(value) > _MAX_ITEMS else "</dl>")
    elif isinstance(value, list) and value and depth < _MAX_DEPTH:
        pieces.append('<ol class="diff-items">')
        for index, item in enumerate(value[:_MAX_ITEMS]):
            pieces.append("<li>")
            _add_value(pieces, item, view.item(index), depth=depth + 1)
            pieces.append("</li>")
        pieces.append(f"<li>{_more(value)}</li></ol>" if len(value) > _MAX_ITEMS else "</ol>")
    else:
        pieces.append(f"<code>{_escaped(_JSON.encode(value))}</code>")


def _more(value: dict[str, JsonValue] | list[JsonValue]) -> str:
    return f'<span class="diff-gap">[… {len(value) - _MAX_ITEMS:,} more …]</span>'


def _escaped(text: str) -> str:
    return html.escape(_UNSHOWABLE.sub("\ufffd", text))
