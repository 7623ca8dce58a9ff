"""Pairs of document versions: large ones, and ones made to take long."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

Pair = tuple[Any, Any]

SIZE = 200_000  # bytes of each version, about
DEPTH = 62  # levels around what differs


def _words(random: Random, vocabulary: list[str], separator: str = " ", *, size: int = SIZE) -> str:
    mean = sum(len(word.encode()) for word in vocabulary) / len(vocabulary) + len(separator)
    return separator.join(random.choices(vocabulary, k=int(size / mean)))


def _vocabulary(random: Random, size: int, letters: str = "abcdefghijklmnop") -> list[str]:
    return ["".join(random.choices(letters, k=random.randint(2, 9))) for _ in range(size)]


def _edited(random: Random, text: str, every: int) -> str:
    words = text.split(" ")
    words[::every] = [f"edited{random.randint(0, 9)}" for _ in words[::every]]
    return " ".join(words)


def _texts(random: Random, vocabulary: list[str], separator: str = " ") -> Pair:
    return {"text": _words(random, vocabulary, separator)}, {"text": _words(random, vocabulary, separator)}


def _edits(every: int, random: Random) -> Pair:
    text = _words(random, _vocabulary(random, 5_000))
    return {"text": text}, {"text": _edited(random, text, every)}


def _deep(value: Any, side: int) -> Any:
    for _ in range(DEPTH):
        value = [value, side]
    return value


def _usual(random: Random) -> Pair:
    """Return a document of sections as people edit it: a tenth of the paragraphs differ, one section moved."""
    vocabulary = _vocabulary(random, 3_000)
    sections = [
        {
            "id": number,
            "title": f"Section {number}",
            "text": _words(random, vocabulary, size=2_000).replace(" a", "\na"),
        }
        for number in range(SIZE // 2_100)
    ]
    after = json.loads(json.dumps(sections))
    for section in after[::10]:
        section["text"] = _edited(random, section["text"], 20)
    after.insert(0, after.pop())
    return {"title": "A plan", "sections": sections}, {"title": "The plan", "sections": after}


_SCRIPTS = {
    "chinese": "".join(map(chr, range(0x4E00, 0x5200))),
    "thai": "".join(map(chr, range(0xE01, 0xE3A))),
    "hindi": "".join(map(chr, range(0x905, 0x94D))),
    "emoji": "\U0001f469\u200d\U0001f467\u2603\ufe0f\u0301abc",
}


def _script(letters: str, random: Random) -> Pair:
    return _texts(random, _vocabulary(random, 2_000, letters))


#: What makes a pair of versions, each of about 200 kB, by a name.
PAIRS: dict[str, Callable[[Random], Any]] = {
    "usual": _usual,
    "equal words": lambda random: ({"text": "a " * (SIZE // 2)}, {"text": "a " * (SIZE // 2 - 9)}),
    "all words differ": lambda random: (
        {"text": " ".join(f"x{n}" for n in range(30_000))},
        {"text": " ".join(f"y{n}" for n in range(30_000))},
    ),
    "each 2nd word differs": partial(_edits, 2),
    "each 10th word differs": partial(_edits, 10),
    "each 100th word differs": partial(_edits, 100),
    "a word after each word": lambda random: (
        {"text": " ".join(f"w{n}" for n in range(30_000))},
        {"text": " ".join(f"w{n} z" for n in range(22_000))},
    ),
    "unrelated": lambda random: _texts(random, _vocabulary(random, 5_000)),
    "300 words": lambda random: _texts(random, _vocabulary(random, 300)),
    "2 words": lambda random: _texts(random, ["a", "b"]),
    "punctuation": lambda random: _texts(random, list(".,;:!?")),
    "shuffled lines": lambda random: tuple(
        {"text": "\n".join(f"line {n}" for n in random.sample(range(17_000), 17_000))} for _ in "ab"
    ),
    "empty lines": lambda random: ({"text": "\n" * SIZE}, {"text": "\n" * (SIZE // 2) + "x\n" * (SIZE // 4)}),
    **{script: partial(_script, letters) for script, letters in _SCRIPTS.items()},
    "same titles": lambda random: tuple(
        [{"title": "x", "n": n + add, "text": f"word{n} of{add}"} for n in range(4_500)] for add in (0, 7)
    ),
    "new titles": lambda random: tuple(
        [{"title": f"{side}{n}", "text": f"about {n}"} for n in range(4_500)] for side in "ab"
    ),
    "reversed": lambda random: tuple(
        [{"id": n, "t": f"w{n}"} for n in order] for order in (range(8_000), range(8_000)[::-1])
    ),
    "lists of lists": lambda random: tuple(
        [[f"w{n} {random.random()} alpha" for n in range(length)] for _ in range(125)] for length in (49, 48)
    ),
    "small lists": lambda random: ([[n] for n in range(24_000)], [[-n] for n in range(21_000)]),
    "empty objects": lambda random: ([{}] * 66_000, [{} for _ in range(60_000)]),
    "numbers": lambda random: tuple(random.choices(range(1_000), k=50_000) for _ in "ab"),
    "many fields": lambda random: tuple({f"k{n}": n + add for n in range(14_000)} for add in (0, 1)),
    "deep lists": lambda random: (_deep(list(range(34_000)), 1), _deep(list(range(33_000)), 2)),
    "many deep lists": lambda random: tuple([_deep(n + add, 1) for n in range(800)] for add in (0, 0.5)),
}


def pair(name: str) -> Pair:
    """Return the two versions of a name, always the same ones. No value is shared, as in documents that were read."""
    before, after = PAIRS[name](Random(name))  # noqa: S311 - nothing secret
    return json.loads(json.dumps(before)), json.loads(json.dumps(after))
