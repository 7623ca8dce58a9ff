"""Token counts of a provider, parsed in the provider's own format and mapped to our buckets.

A stream may report several times. Each report is taken as a running total that replaces the previous one. If one of its
numbers is smaller, it may be an increment, and the count is unknown. A count that contradicts itself is unknown, too.
No number is corrected or invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import product
from typing import TypeGuard

from pydantic import JsonValue

from executions.engine.domain.calls import Usage

# tokens of a bucket; greater counts are wrong, and sums of the ledger have to fit into their column
_MAX_TOKENS = 2**53
_MAX_SHOWN = 40  # characters of an invalid number that are stored


class Language(Enum):
    """The formats in which providers count."""

    CHAT = auto()  # OpenAI's chat completions and compatible servers
    RESPONSES = auto()  # OpenAI's responses
    MESSAGES = auto()  # Anthropic's messages: the input does not include cached tokens
    GENERATE = auto()  # Google's generateContent: the output does not include thoughts


#: The fields of each format. If several fields exist for one number, their values have to agree.
_FIELDS: Mapping[Language, Mapping[str, tuple[str, ...]]] = {
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
    """A count that cannot be correct."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The usage of a call."""

    usage: Usage
    written_1h: int = 0  # tokens written to a cache for one hour


def reports(message: object) -> Iterator[tuple[Language, Mapping[str, object]]]:
    """Yield the usage reports in a complete response or a stream event."""
    if not isinstance(message, dict):
        return
    if isinstance(counted := message.get("usageMetadata"), dict):
        yield Language.GENERATE, counted
    for holder, language in _holders(message):
        if isinstance(holder, dict) and isinstance(counted := holder.get("usage"), dict):
            yield language, counted


def _holders(message: Mapping[str, object]) -> Iterator[tuple[object, Language]]:
    """Yield objects that may have a `usage` field, with their format."""
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
        yield from ((choice, Language.CHAT) for choice in (choices if isinstance(choices, list) else ()))
        yield message.get("x_groq"), Language.CHAT
        yield message, Language.CHAT


class Count:
    """The running total of one call. It is final when the call has ended."""

    def __init__(self) -> None:
        self._language: Language | None = None
        self._received: dict[str, object] = {}  # last value by field
        self._decreased = False

    @property
    def received(self) -> dict[str, JsonValue]:
        """The provider's counts as received; empty if there are none."""
        return {
            field: value if _is_number(value) else str(value)[:_MAX_SHOWN] for field, value in self._received.items()
        }

    def add(self, language: Language, report: Mapping[str, object]) -> None:
        """Add a report. A report without a nonzero number is ignored."""
        fields = [field for names in _FIELDS[language].values() for field in names]
        received = {field: value for field in fields if (value := _field_value(report, field)) is not None}
        if not any(value != 0 for value in received.values()):
            return
        before = self._received
        self._decreased = self._decreased or self._language not in {None, language}
        self._decreased = self._decreased or any(
            _is_smaller(value, before.get(field)) for field, value in received.items()
        )
        self._language, self._received = language, {**before, **received}

    def counted(self) -> Counted:
        """Return the usage.

        Raises:
            Contradiction: the counts cannot be correct.
        """
        if self._language is None or self._decreased:
            raise Contradiction("There is no count, or a later count was smaller.")
        numbers = {role: self._number(names) for role, names in _FIELDS[self._language].items()}
        if self._language is Language.MESSAGES:
            return _with_separate_cache(numbers)
        thoughts_apart = self._language is Language.GENERATE
        return _with_included_cache(numbers, thoughts_apart=thoughts_apart)

    def _number(self, names: tuple[str, ...]) -> int | None:
        values = {token_count(self._received[name]) for name in names if name in self._received}
        if len(values) > 1:
            raise Contradiction("One number has two values.")
        return next(iter(values), None)


def _with_included_cache(numbers: Mapping[str, int | None], *, thoughts_apart: bool) -> Counted:
    """Return the usage for formats whose input includes cached tokens.

    The total shows whether the output includes reasoning, and the input tool results. Without a total the format's
    usual rule applies.
    """
    roles = ("input", "output", "reasoning", "tools")
    input_tokens, output_tokens, reasoning, tools = (numbers.get(role) or 0 for role in roles)
    total = numbers["total"]
    inputs = [input_tokens + tools, *([input_tokens] if tools <= input_tokens else [])]
    separate, included = [output_tokens + reasoning], [output_tokens] if reasoning <= output_tokens else []
    outputs = [*separate, *included] if thoughts_apart else [*included, *(separate if total is not None else [])]
    matching = [pair for pair in product(inputs, outputs) if total is None or sum(pair) == total]
    if not matching:
        raise Contradiction("The parts do not add up to the total.")
    whole_input, output = matching[0]
    read, written = numbers["read"] or 0, numbers.get("written") or 0
    if read + written > whole_input:
        raise Contradiction("More tokens were cached than were read.")
    return Counted(
        usage=Usage(
            input_tokens=whole_input - read - written,
            cache_read_input_tokens=read,
            cache_write_input_tokens=written,
            output_tokens=output,
            reasoning_tokens=reasoning,
        )
    )


def _with_separate_cache(numbers: Mapping[str, int | None]) -> Counted:
    """Return the usage for formats whose input does not include cached tokens."""
    short, long = numbers["written_5m"] or 0, numbers["written_1h"] or 0
    written = short + long if numbers["written"] is None else numbers["written"]
    output, reasoning = numbers["output"] or 0, numbers["reasoning"] or 0
    if short + long not in {0, written} or reasoning > output:
        raise Contradiction("The parts do not add up to the total.")
    usage = Usage(
        input_tokens=numbers["input"] or 0,
        cache_read_input_tokens=numbers["read"] or 0,
        cache_write_input_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    return Counted(usage=usage, written_1h=long)


def token_count(value: object) -> int:
    """Return the value as a number of tokens.

    Raises:
        Contradiction: the value is not a count.
    """
    if not _is_number(value) or not 0 <= value <= _MAX_TOKENS or value != int(value):
        raise Contradiction("The value is not a number of tokens.")
    return int(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_smaller(value: object, before: object) -> bool:
    return _is_number(value) and _is_number(before) and value < before


def _field_value(report: Mapping[str, object], path: str) -> object:
    """Return the value of a field (`a.b`), None if it does not exist."""
    outer, _, inner = path.partition(".")
    value = report.get(outer)
    if not inner or value is None:
        return value
    return value.get(inner) if isinstance(value, dict) else None
