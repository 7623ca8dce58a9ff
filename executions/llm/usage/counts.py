"""What a provider says a call has used, read in the provider's own language and put into our buckets.

A stream may report several times. Each report is taken for a running total: it replaces the one before, unless one of
its numbers is smaller. Then nothing tells a total from an increment, and the count is unknown. So is a count that
contradicts itself. Nothing is cut, and nothing is made up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import product
from typing import TypeGuard

from pydantic import JsonValue

from executions.engine.domain.calls import Usage

_MOST = 2**53  # tokens of a bucket; a provider that counts more counts wrongly, and the sum of a ledger has to hold it
_KEPT = 40  # characters of a number that is none, for the record


class Language(Enum):
    """How a provider counts."""

    CHAT = auto()  # OpenAI's chat completions, and servers that speak like it
    RESPONSES = auto()  # OpenAI's responses
    MESSAGES = auto()  # Anthropic's messages: cached tokens stand beside the input
    GENERATE = auto()  # Google's generateContent: thoughts stand beside the output


#: Where each language has its numbers. Of several names for one number, all that are there have to agree.
_PLACES: Mapping[Language, Mapping[str, tuple[str, ...]]] = {
    Language.CHAT: {
        "input": ("prompt_tokens",),
        "read": ("prompt_tokens_details.cached_tokens", "prompt_cache_hit_tokens", "cached_tokens"),
        "written": ("prompt_tokens_details.cache_write_tokens",),
        "output": ("completion_tokens",),
        "reasoning": ("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
        "total": ("total_tokens",),
    },
    Language.RESPONSES: {
        "input": ("input_tokens",),
        "read": ("input_tokens_details.cached_tokens",),
        "written": ("input_tokens_details.cache_write_tokens",),
        "output": ("output_tokens",),
        "reasoning": ("output_tokens_details.reasoning_tokens",),
        "total": ("total_tokens",),
    },
    Language.MESSAGES: {
        "input": ("input_tokens",),
        "read": ("cache_read_input_tokens",),
        "written": ("cache_creation_input_tokens",),
        "written_5m": ("cache_creation.ephemeral_5m_input_tokens",),
        "written_1h": ("cache_creation.ephemeral_1h_input_tokens",),
        "output": ("output_tokens",),
        "reasoning": ("output_tokens_details.thinking_tokens",),
    },
    Language.GENERATE: {
        "input": ("promptTokenCount",),
        "tools": ("toolUsePromptTokenCount",),
        "read": ("cachedContentTokenCount",),
        "output": ("candidatesTokenCount",),
        "reasoning": ("thoughtsTokenCount",),
        "total": ("totalTokenCount",),
    },
}


class Contradiction(ValueError):
    """A count that cannot be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a call has used."""

    usage: Usage
    written_1h: int = 0  # of the tokens written to a cache, those that are kept for an hour


def reports(message: object) -> Iterator[tuple[Language, Mapping[str, object]]]:
    """Yield the reports of usage in a whole reply, or in one event of a stream."""
    if not isinstance(message, dict):
        return
    if isinstance(counted := message.get("usageMetadata"), dict):
        yield Language.GENERATE, counted
    for holder, language in _holders(message):
        if isinstance(holder, dict) and isinstance(counted := holder.get("usage"), dict):
            yield language, counted


def _holders(message: Mapping[str, object]) -> Iterator[tuple[object, Language]]:
    """Yield what may have a `usage`, with the language that it is in."""
    kind, choices = message.get("type"), message.get("choices")
    if kind == "message_start":
        yield message.get("message"), Language.MESSAGES
    elif kind in {"message", "message_delta"}:
        yield message, Language.MESSAGES
    elif message.get("object") == "response":
        yield message, Language.RESPONSES
    elif isinstance(message.get("response"), dict):
        yield message["response"], Language.RESPONSES
    else:
        yield from ((each, Language.CHAT) for each in (choices if isinstance(choices, list) else ()))
        yield message.get("x_groq"), Language.CHAT
        yield message, Language.CHAT


class Count:
    """The running total of one call. It is known when the call has ended."""

    def __init__(self) -> None:
        self._language: Language | None = None
        self._said: dict[str, object] = {}  # by place, the last that was said
        self._fell = False

    @property
    def received(self) -> dict[str, JsonValue]:
        """What was counted, as the provider has said it; empty if it has said nothing."""
        return {place: value if _is_number(value) else str(value)[:_KEPT] for place, value in self._said.items()}

    def add(self, language: Language, report: Mapping[str, object]) -> None:
        """Take a report in. One without any number, or with zeros alone, says nothing."""
        places = [place for names in _PLACES[language].values() for place in names]
        said = {place: value for place in places if (value := _at(report, place)) is not None}
        if not any(value != 0 for value in said.values()):
            return
        before = self._said
        self._fell = self._fell or self._language not in {None, language}
        self._fell = self._fell or any(_is_smaller(value, before.get(place)) for place, value in said.items())
        self._language, self._said = language, {**before, **said}

    def counted(self) -> Counted:
        """Return what was used.

        Raises:
            Contradiction: what was said cannot be right.
        """
        if self._language is None or self._fell:
            raise Contradiction("There is no count, or a later one was smaller.")
        numbers = {role: self._number(names) for role, names in _PLACES[self._language].items()}
        if self._language is Language.MESSAGES:
            return _beside(numbers)
        thoughts_apart = self._language is Language.GENERATE
        return _within(numbers, thoughts_apart=thoughts_apart)

    def _number(self, names: tuple[str, ...]) -> int | None:
        found = {token_count(self._said[name]) for name in names if name in self._said}
        if len(found) > 1:
            raise Contradiction("One number has two values.")
        return next(iter(found), None)


def _within(numbers: Mapping[str, int | None], *, thoughts_apart: bool) -> Counted:
    """Return the count of a language that has cached tokens in the input.

    Whether reasoning, and the results of tools, are a part of what they stand beside is told by the total. Without one
    the usual way of the language holds.
    """
    sent, said, reasoning, tools = (numbers.get(name) or 0 for name in ("input", "output", "reasoning", "tools"))
    total = numbers["total"]
    inputs = [sent + tools, *([sent] if tools <= sent else [])]
    apart, inside = [said + reasoning], [said] if reasoning <= said else []
    outputs = [*apart, *inside] if thoughts_apart else [*inside, *(apart if total is not None else [])]
    fitting = [pair for pair in product(inputs, outputs) if total is None or sum(pair) == total]
    if not fitting:
        raise Contradiction("The parts are not the whole.")
    whole_input, output = fitting[0]
    read, written = numbers["read"] or 0, numbers.get("written") or 0
    if read + written > whole_input:
        raise Contradiction("More is cached than was read.")
    return Counted(
        usage=Usage(
            input_tokens=whole_input - read - written,
            cache_read_input_tokens=read,
            cache_write_input_tokens=written,
            output_tokens=output,
            reasoning_tokens=reasoning,
        )
    )


def _beside(numbers: Mapping[str, int | None]) -> Counted:
    """Return the count of a language that has cached tokens beside the input."""
    short, long = numbers["written_5m"] or 0, numbers["written_1h"] or 0
    written = short + long if numbers["written"] is None else numbers["written"]
    output, reasoning = numbers["output"] or 0, numbers["reasoning"] or 0
    if short + long not in {0, written} or reasoning > output:
        raise Contradiction("The parts are not the whole.")
    usage = Usage(
        input_tokens=numbers["input"] or 0,
        cache_read_input_tokens=numbers["read"] or 0,
        cache_write_input_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    return Counted(usage=usage, written_1h=long)


def token_count(value: object) -> int:
    """Return a number of tokens.

    Raises:
        Contradiction: nothing can be counted like that.
    """
    if not _is_number(value) or not 0 <= value <= _MOST or value != int(value):
        raise Contradiction("That is no number of tokens.")
    return int(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_smaller(value: object, before: object) -> bool:
    return _is_number(value) and _is_number(before) and value < before


def _at(report: Mapping[str, object], place: str) -> object:
    """Return what stands at a place (`a.b`), None when there is nothing."""
    outer, _, inner = place.partition(".")
    found = report.get(outer)
    if not inner or found is None:
        return found
    return found.get(inner) if isinstance(found, dict) else None
