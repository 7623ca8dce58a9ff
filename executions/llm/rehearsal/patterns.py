"""Generation of texts that match a pattern of JSON Schema. `re` is not used for matching: its time is unbounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from re import _constants as sre  # type: ignore[attr-defined]  # the standard library's own parser of patterns
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from workflows.json_schema.validation import is_linear, is_pattern, matches

MAX_CHARACTERS = 100_000  # of one text
MAX_CHARACTERS_IF_COSTLY = 1_000  # of one text, if matching the pattern may take long
_TOO_LONG = f"the pattern requires more than {MAX_CHARACTERS} characters"
_SIZES = (0, 1, 2, 3, 5, 8, 13, 21, 40, 80)  # numbers of repetitions that are tried
_VARIANTS = 10  # texts with other characters that are tried
_BRANCHES = 4  # alternatives that are tried
_SAMPLES = "a0A-_ .,:/@#+$éßαΩяЯאابकあア漢한٣\n\t\"'()!?%&=*<>~|;bzBZ19"  # characters of many kinds
_TOKENS = re.compile(
    r"\\[pP]\{(?P<kind>[^}]*)\}"
    r"|\\u\{(?P<code>[0-9A-Fa-f]{1,6})\}"
    r"|\\c(?P<control>[A-Za-z])"
    r"|\\k<(?P<back>\w+)>"
    r"|\\."
    r"|\(\?<(?P<group>[A-Za-z_]\w*)>"
    r"|(?P<open>\[\^?)"
    r"|(?P<close>\])"
    r"|(?P<doubled>[&~|-])(?=(?P=doubled))",
    re.DOTALL,
)


class Unreadable(ValueError):
    """A pattern for which no text was found; the message says why."""


def texts_for(pattern: str, number: int, sizes: Sequence[int] = ()) -> Iterator[str]:
    """Yield distinct texts that match a pattern. A run of digits in the first ones is `number`, if possible.

    Args:
        pattern: A pattern of JSON Schema.
        number: Index of the text among those of the same field.
        sizes: Further text lengths to try.

    Raises:
        Unreadable: no text was found.
    """
    if not is_pattern(pattern):
        raise Unreadable("it is not a valid pattern")
    try:
        parsed = list(sre_parser.parse(_in_python(pattern)))
    except (re.error, OverflowError, RecursionError) as error:
        raise Unreadable(f"the pattern cannot be parsed ({error})") from error
    found: set[str] = set()
    for text in _texts(parsed, number, (*_SIZES, *sizes)):
        if len(text) > MAX_CHARACTERS_IF_COSTLY and not is_linear(pattern):
            raise Unreadable("matching it takes too long")
        if text not in found and matches(pattern, text):
            found.add(text)
            yield text
    if not found:
        raise Unreadable("no text was found that matches the pattern")


def _texts(parsed: Sequence[tuple[Any, Any]], number: int, sizes: Sequence[int]) -> Iterator[str]:
    """Yield texts of several sizes and alternatives, then some with other characters."""
    for size in dict.fromkeys(sizes):
        for branch in range(_BRANCHES):
            yield _Text(number=number, size=size, branch=branch).of(parsed)
    for variant in range(_VARIANTS):
        yield _Text(number=number, size=0, branch=variant, variant=number + variant).of(parsed)


@dataclass(slots=True)
class _Text:
    """One text for a pattern. Assertions are ignored; whether they hold is checked by matching the text."""

    number: int
    size: int
    branch: int
    variant: int = 0  # selects the character of a class
    groups: dict[int, str] = field(default_factory=dict)

    def of(self, parts: Sequence[tuple[Any, Any]]) -> str:
        """Return a text for a sequence of parts."""
        text = "".join(self._part(operator, argument) for operator, argument in parts)
        if len(text) > MAX_CHARACTERS:
            raise Unreadable(_TOO_LONG)
        return text

    def _part(self, operator: Any, argument: Any) -> str:
        write = _PARTS.get(operator)
        if write is None:
            raise Unreadable(f"the pattern has {str(operator).lower()}, which is not supported")
        return write(self, argument)

    def group(self, argument: Any) -> str:
        """Return a text for a group, and keep it for backreferences."""
        text = self.of(argument[3])
        if argument[0] is not None:
            self.groups[argument[0]] = text
        return text

    def alternative(self, argument: Any) -> str:
        """Return a text for one of the alternatives."""
        return self.of(argument[1][self.branch % len(argument[1])])

    def repeated(self, argument: Any) -> str:
        """Return a text for a repeated part."""
        low, high, inner = argument
        one = self.of(inner)
        if one == "0" and len(str(self.number)) <= int(high) and self.size == 0:
            return str(self.number).zfill(low)
        count = max(low, min(self.size, int(high)), 1 if one == "0" else low)
        if len(one) * count > MAX_CHARACTERS:
            raise Unreadable(_TOO_LONG)
        return one * count


_PARTS: dict[Any, Callable[[_Text, Any], str]] = {
    sre.LITERAL: lambda _, code: chr(code),
    sre.NOT_LITERAL: lambda _, code: _of_class([(sre.NEGATE, None), (sre.LITERAL, code)]),
    sre.IN: lambda text, members: _of_class(members, text.variant),
    sre.ANY: lambda *_: "a",
    sre.AT: lambda *_: "",
    sre.ASSERT: lambda text, look: text.of(look[1]) if look[0] < 0 else "",  # the text before is generated already
    sre.ASSERT_NOT: lambda *_: "",
    sre.SUBPATTERN: _Text.group,
    sre.ATOMIC_GROUP: lambda text, inside: text.of(inside),
    sre.GROUPREF: lambda text, number: text.groups.get(number, ""),
    sre.BRANCH: _Text.alternative,
    sre.MAX_REPEAT: _Text.repeated,
    sre.MIN_REPEAT: _Text.repeated,
    sre.POSSESSIVE_REPEAT: _Text.repeated,
}
_CATEGORIES: dict[Any, str] = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_FIRST = {sre.CATEGORY_DIGIT: "0", sre.CATEGORY_SPACE: " "}


def _of_class(members: Sequence[tuple[Any, Any]], variant: int = 0) -> str:
    """Return a character of a class: one of its first members, or one outside of a negated class."""
    if members[0][0] is sre.NEGATE:
        for sample in "a" + _SAMPLES:
            if not any(_is_in(sample, member) for member in members[1:]):
                return sample
        raise Unreadable("no character was found for a negated class of the pattern")
    operator, argument = members[0]
    if operator is sre.RANGE:
        low, high = argument
        return chr(low + variant % (high - low + 1))
    if operator is sre.LITERAL:
        operator, argument = members[variant % len(members)]
        return chr(argument if operator is sre.LITERAL else members[0][1])
    return _FIRST.get(argument) or _sample(_CATEGORIES[argument])


def _is_in(character: str, member: tuple[Any, Any]) -> bool:
    operator, argument = member
    if operator is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    if operator is sre.LITERAL:
        return ord(character) == argument
    return matches(f"^{_CATEGORIES[argument]}$", character)


def _sample(described: str) -> str:
    """Return a character that matches an escape sequence for a class."""
    for sample in "a" + _SAMPLES:
        if matches(f"^{described}$", sample):
            return sample
    raise Unreadable(f"no character was found for {described} in the pattern")


def _in_python(pattern: str) -> str:
    """Return the pattern in Python's syntax, with one character in place of each Unicode class."""
    pieces, position, in_class = list[str](), 0, False
    for token in _TOKENS.finditer(pattern):
        pieces += pattern[position : token.start()], _token(token, in_class=in_class)
        position = token.end()
        if token["open"]:
            in_class = True
        elif token["close"]:
            in_class = False
    return "".join([*pieces, pattern[position:]])


def _token(token: re.Match[str], *, in_class: bool) -> str:
    if token["kind"] is not None:
        return re.escape(_sample(token[0]))
    if token["code"]:
        return re.escape(chr(int(token["code"], 16)))
    if token["control"]:
        return re.escape(chr(ord(token["control"]) % 32))
    if token["back"]:
        return f"(?P={token['back']})"
    if token["group"] and not in_class:
        return f"(?P<{token['group']}>"
    needs_escape = in_class and (token["open"] or token["doubled"])
    return "".join(f"\\{character}" for character in token[0]) if needs_escape else token[0]
