"""Passages of documents around the words of a search, as runs of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from documents.search.texts import storable, texts_of
from documents.search.walks import Words

WINDOW = 400  # characters among which PostgreSQL marks the words: it reads slowly
MAX_PLACES = 200  # of words that are looked at in one document
MAX_BYTES = 2_000_000  # of stored contents that the documents of one page may have; later ones get no passage

_BEGIN, _END, _LESS = "\ue000", "\ue001", "\ue002"  # private use: spaces replace those of the document
#: PostgreSQL drops what looks like a tag of HTML.
_PLAIN = {**dict.fromkeys(map(ord, _BEGIN + _END + _LESS), " "), ord("<"): _LESS}
_OPTIONS = f'StartSel="{_BEGIN}", StopSel="{_END}", HighlightAll=true'
_LEXEME = re.compile(r"'((?:[^']|'')+)'")
_RUN = re.compile(f"{_BEGIN}([^{_END}]*){_END}|([^{_BEGIN}]+)")
_CONTENTS = """
SELECT id, title, content FROM (
  SELECT head.id, head.title, newest.content, sum(pg_column_size(newest.content)) OVER (ORDER BY number) AS bytes
  FROM unnest(%s::uuid[]) WITH ORDINALITY AS wanted (id, number)
  JOIN documents_document AS head ON head.id = wanted.id
  JOIN documents_documentversion AS newest ON newest.document_id = head.id AND newest.version = head.version
) AS sized WHERE bytes <= %s
"""
_LEXEMES = "SELECT querytree({query})"
_HEADLINES = """
SELECT ts_headline(%s::regconfig, passage, {query}, %s)
FROM unnest(%s::text[]) WITH ORDINALITY AS given (passage, number) ORDER BY number
"""


class Run(NamedTuple):
    """A part of a passage; `match`: it is one of the words."""

    text: str
    match: bool


def snippets(ids: Sequence[UUID], words: Words) -> dict[UUID, list[Run]]:
    """Return a passage of each document with the words, except for documents after the first large ones."""
    query = words.sql
    with connection.cursor() as cursor:
        cursor.execute(_CONTENTS, [list(ids), MAX_BYTES])
        rows: list[tuple[UUID, str, Mapping[str, Any]]] = cursor.fetchall()
        cursor.execute(_LEXEMES.format(query=query.sql), query.values)
        sought = _patterns(cursor.fetchone()[0])
        passages = [_passage(title, content, sought) for _, title, content in rows]
        cursor.execute(_HEADLINES.format(query=query.sql), [words.language, *query.values, _OPTIONS, passages])
        marked = [text for (text,) in cursor.fetchall()]
    return {row[0]: [*_runs(text)] for row, text in zip(rows, marked, strict=True)}


def _patterns(querytree: str) -> re.Pattern[str] | None:
    """Return a pattern for the beginnings of the sought words: a language may have changed their ends."""
    lexemes = {each.replace("''", "'") for each in _LEXEME.findall(querytree)}
    stems = sorted({re.escape(each[: max(3, len(each) - 2)]) for each in lexemes}, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(stems)})", re.IGNORECASE) if stems else None


def _passage(title: str, content: Mapping[str, Any], sought: re.Pattern[str] | None) -> str:
    text = "\n".join(texts_of(content))
    start = _densest(text, sought)
    if start is None and sought is not None and sought.search(title):
        text = storable(title)
    begin, end = max((start or 0) - WINDOW // 4, 0), (start or 0) + WINDOW * 3 // 4
    if begin:  # at the beginning of a word, if there is one
        begin = text.find(" ", begin, start) + 1 or begin
    if end < len(text):
        end = max(text.rfind(" ", begin + WINDOW // 2, end), begin + WINDOW // 2)
    return text[begin:end].translate(_PLAIN)


def _densest(text: str, sought: re.Pattern[str] | None) -> int | None:
    """Return where the most different words stand together; None: the text has no such word."""
    places = [] if sought is None else [(each.start(), each[0].lower()) for each in _first(sought.finditer(text))]
    counts = {
        start: len({word for place, word in places if start <= place < start + WINDOW // 2}) for start, _ in places
    }
    return max(counts, key=lambda start: (counts[start], -start), default=None)


def _first(found: Iterator[re.Match[str]]) -> Iterable[re.Match[str]]:
    return (each for each, _ in zip(found, range(MAX_PLACES), strict=False))


def _runs(marked: str) -> Iterator[Run]:
    for found in _RUN.finditer(marked.replace(_LESS, "<")):
        yield Run(found[2], False) if found[1] is None else Run(found[1], True)
