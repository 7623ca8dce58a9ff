"""Texts that a pattern of JSON Schema describes. Nothing is matched here with `re`: its time has no bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from re import _constants as sre  # type: ignore[attr-defined]  # the standard library's own parser of patterns
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any

from workflows.json_schema.validation import is_linear, is_pattern, matches

MOST_CHARACTERS = 100_000  # of one text
MOST_CHARACTERS_IF_COSTLY = 1_000  # where the pattern may take long
_TOO_LONG = f"the pattern asks for more than {MOST_CHARACTERS} characters"
_SIZES = (0, 1, 2, 3, 5, 8, 13, 21, 40, 80)  # how often a part is repeated that may be repeated so often
_TURNS = 10  # of taking other characters
_BRANCHES = 4  # of alternatives that are tried
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
    """A pattern for which no text is found; the words say why."""


def texts_for(pattern: str, number: int, sizes: Sequence[int] = ()) -> Iterator[str]:
    """Yield texts that a pattern matches, each once. A run of digits in the first ones is `number`, where that fits.

    Args:
        pattern: As JSON Schema has it.
        number: Which text this is, among those for the same field.
        sizes: Further numbers of characters that a text should have.

    Raises:
        Unreadable: no text is found.
    """
    if not is_pattern(pattern):
        raise Unreadable("it is no pattern")
    try:
        parsed = list(sre_parser.parse(_in_python(pattern)))
    except (re.error, OverflowError, RecursionError) as error:
        raise Unreadable(f"the pattern cannot be taken apart ({error})") from error
    found: set[str] = set()
    for text in _texts(parsed, number, (*_SIZES, *sizes)):
        if len(text) > MOST_CHARACTERS_IF_COSTLY and not is_linear(pattern):
            raise Unreadable("matching it takes too long")
        if text not in found and matches(pattern, text):
            found.add(text)
            yield text
    if not found:
        raise Unreadable("no text is found that the pattern matches")


def _texts(parsed: Sequence[tuple[Any, Any]], number: int, sizes: Sequence[int]) -> Iterator[str]:
    """Yield texts of several sizes and alternatives, then some of other characters."""
    for size in dict.fromkeys(sizes):
        for branch in range(_BRANCHES):
            yield _Text(number=number, size=size, branch=branch).of(parsed)
    for turn in range(_TURNS):
        yield _Text(number=number, size=0, branch=turn, permit=number + turn).of(parsed)


@dataclass(slots=True)
class _Text:
    """One text for a pattern. Assertions are passed over: whether they hold shows when the text is matched."""

    number: int
    size: int
    branch: int
    permit: int = 0  # which character of a class is taken
    groups: dict[int, str] = field(default_factory=dict)

    def of(self, parts: Sequence[tuple[Any, Any]]) -> str:
        """Return a text for a sequence of parts."""
        text = "".join(self._part(operator, argument) for operator, argument in parts)
        if len(text) > MOST_CHARACTERS:
            raise Unreadable(_TOO_LONG)
        return text

    def _part(self, operator: Any, argument: Any) -> str:
        write = _PARTS.get(operator)
        if write is None:
            raise Unreadable(f"the pattern has {str(operator).lower()}, for which nothing is written")
        return write(self, argument)

    def group(self, argument: Any) -> str:
        """Return a text for a group, and keep it for what refers back."""
        text = self.of(argument[3])
        if argument[0] is not None:
            self.groups[argument[0]] = text
        return text

    def alternative(self, argument: Any) -> str:
        """Return a text for one of several alternatives."""
        return self.of(argument[1][self.branch % len(argument[1])])

    def repeated(self, argument: Any) -> str:
        """Return a text for a part that is repeated."""
        low, high, inside = argument
        one = self.of(inside)
        if one == "0" and len(str(self.number)) <= int(high) and self.size == 0:
            return str(self.number).zfill(low)
        count = max(low, min(self.size, int(high)), 1 if one == "0" else low)
        if len(one) * count > MOST_CHARACTERS:
            raise Unreadable(_TOO_LONG)
        return one * count


_PARTS: dict[Any, Callable[[_Text, Any], str]] = {
    sre.LITERAL: lambda _, code: chr(code),
    sre.NOT_LITERAL: lambda _, code: _of_class([(sre.NEGATE, None), (sre.LITERAL, code)]),
    sre.IN: lambda text, members: _of_class(members, text.permit),
    sre.ANY: lambda *_: "a",
    sre.AT: lambda *_: "",
    sre.ASSERT: lambda text, look: text.of(look[1]) if look[0] < 0 else "",  # what stands before is written before
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


def _of_class(members: Sequence[tuple[Any, Any]], permit: int = 0) -> str:
    """Return a character of a class: of its first members, or one that no member of a negated class is."""
    if members[0][0] is sre.NEGATE:
        for sample in "a" + _SAMPLES:
            if not any(_is_in(sample, member) for member in members[1:]):
                return sample
        raise Unreadable("no character is found for a negated class of the pattern")
    operator, argument = members[0]
    if operator is sre.RANGE:
        low, high = argument
        return chr(low + permit % (high - low + 1))
    if operator is sre.LITERAL:
        operator, argument = members[permit % len(members)]
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
    """Return a character that an escape for a class of them describes."""
    for sample in "a" + _SAMPLES:
        if matches(f"^{described}$", sample):
            return sample
    raise Unreadable(f"no character is found for {described} in the pattern")


def _in_python(pattern: str) -> str:
    """Return a pattern of JSON Schema in the words of Python, with one character for each class of Unicode's."""
    written, at, in_class = list[str](), 0, False
    for token in _TOKENS.finditer(pattern):
        written += pattern[at : token.start()], _token(token, in_class=in_class)
        at = token.end()
        if token["open"]:
            in_class = True
        elif token["close"]:
            in_class = False
    return "".join([*written, pattern[at:]])


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
