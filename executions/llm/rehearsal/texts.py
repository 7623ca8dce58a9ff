"""Texts for the fields of a document, made from facts."""

from __future__ import annotations

import re
from collections import Counter

from executions.llm.rehearsal.extraction import Fact, Facts, words

_LONG_TEXT = 800  # characters; fields that may be longer get several sentences
_LABEL = 160  # characters; fields that must be shorter get the beginning of a sentence
_LABEL_WORDS = 7
_SENTENCES = 3


class Texts:
    """Selects facts for fields. Each fact is used where its words match best, and again only when no other is left."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._used: Counter[str] = Counter()
        self._has_used_answers = False

    def text_for(self, path: tuple[str, ...], description: str, *, low: int, high: int) -> str:
        """Return facts about a field, in `low` to `high` characters."""
        about = words(" ".join([*path, description]).replace("_", " "))
        texts: list[str] = []
        if high >= _LONG_TEXT and not self._has_used_answers:
            self._has_used_answers = True
            texts = [fact.text for fact in self._facts.answers]
        max_texts = len(texts) + (_SENTENCES if high >= _LONG_TEXT else 1)
        while len(texts) < max_texts:
            texts.append(self._fact(about, shortest=min(low, 40), avoid=texts).text)
        if high <= _LABEL:
            texts = [_label(texts[0])]
        length = len(" ".join(texts))
        while length < low:
            texts.append(self._fact(about, shortest=1, avoid=[]).text)
            length += 1 + len(texts[-1])
        return fit_length(texts, low, high)

    def _fact(self, about: frozenset[str], *, shortest: int, avoid: list[str]) -> Fact:
        """Return the best match among the facts that were used least."""
        candidates = [fact for fact in self._facts.all if fact.text not in avoid] or list(self._facts.all)
        long_enough = [fact for fact in candidates if len(fact.text) >= shortest] or candidates
        best = max(
            enumerate(long_enough),
            key=lambda pair: (2 * len(about & pair[1].about) - 3 * self._used[pair[1].text], -pair[0]),
        )[1]
        self._used[best.text] += 1
        return best


def _label(text: str) -> str:
    """Return the beginning of a sentence, as a label."""
    clause = re.split(r"[,;:(.]\s", text, maxsplit=1)[0]
    return " ".join(clause.split()[:_LABEL_WORDS]).rstrip(".,;:")


def fit_length(texts: list[str], low: int, high: int) -> str:
    """Return the joined texts, cut at a word if possible, with a length from `low` to `high`."""
    text = " ".join(part if part[-1:] in ".!?" or len(texts) == 1 else f"{part}." for part in texts)
    if len(text) > high:
        cut = text[: max(high - 1, 0)]
        text = (cut.rsplit(" ", 1)[0] if " " in cut[low:] else cut) + "…"[: high - len(cut)]
    return text.ljust(low, ".")
