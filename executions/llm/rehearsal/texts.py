"""Texts for the fields of a document, out of facts."""

from __future__ import annotations

import re
from collections import Counter

from executions.llm.rehearsal.extraction import Fact, Facts, words

_LONG_TEXT = 800  # characters; a field that may be longer gets several sentences
_LABEL = 160  # characters; a field that may not be longer gets the beginning of a sentence
_LABEL_WORDS = 7
_SENTENCES = 3


class Texts:
    """Says what the material says. Each fact is used where its words fit best, and again only when none is left."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._used: Counter[str] = Counter()
        self._told_answers = False

    def text_for(self, path: tuple[str, ...], description: str, *, low: int, high: int) -> str:
        """Return what the material says about a field, in `low` to `high` characters."""
        about = words(" ".join([*path, description]).replace("_", " "))
        texts: list[str] = []
        if high >= _LONG_TEXT and not self._told_answers:
            self._told_answers = True
            texts = [fact.text for fact in self._facts.answers]
        wanted = len(texts) + (_SENTENCES if high >= _LONG_TEXT else 1)
        while len(texts) < wanted:
            texts.append(self._fact(about, shortest=min(low, 40), avoid=texts).text)
        if high <= _LABEL:
            texts = [_label(texts[0])]
        length = len(" ".join(texts))
        while length < low:
            texts.append(self._fact(about, shortest=1, avoid=[]).text)
            length += 1 + len(texts[-1])
        return fit_length(texts, low, high)

    def _fact(self, about: frozenset[str], *, shortest: int, avoid: list[str]) -> Fact:
        """Return the fact that fits best among those used least."""
        candidates = [fact for fact in self._facts.all if fact.text not in avoid] or list(self._facts.all)
        long_enough = [fact for fact in candidates if len(fact.text) >= shortest] or candidates
        best = max(
            enumerate(long_enough),
            key=lambda pair: (2 * len(about & pair[1].about) - 3 * self._used[pair[1].text], -pair[0]),
        )[1]
        self._used[best.text] += 1
        return best


def _label(text: str) -> str:
    """Return the beginning of a sentence, as a name for what it is about."""
    clause = re.split(r"[,;:(.]\s", text, maxsplit=1)[0]
    return " ".join(clause.split()[:_LABEL_WORDS]).rstrip(".,;:")


def fit_length(texts: list[str], low: int, high: int) -> str:
    """Return the texts as one, cut at a word where it can be, never shorter or longer than allowed."""
    text = " ".join(each if each[-1:] in ".!?" or len(texts) == 1 else f"{each}." for each in texts)
    if len(text) > high:
        cut = text[: max(high - 1, 0)]
        text = (cut.rsplit(" ", 1)[0] if " " in cut[low:] else cut) + "…"[: high - len(cut)]
    return text.ljust(low, ".")
