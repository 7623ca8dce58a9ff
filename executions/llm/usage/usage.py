"""Usage of a call: from the provider's own report, or from its library if there was no report."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from executions.engine.domain.calls import Usage
from executions.llm.usage.billing import Terms
from executions.llm.usage.counts import Contradiction, Counted, token_count
from executions.llm.usage.transcript import Transcript

#: Names under which libraries report reasoning tokens, if the common count does not include them.
_REASONING = ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """The usage of a call, and its billing terms."""

    usage: Usage | None  # None: unknown
    billing: dict[str, JsonValue]
    received: dict[str, JsonValue]  # the count as received, for inspection


def bill(response: ModelResponse, transcript: Transcript) -> Bill:
    """Return the usage of a call. It is unknown if the count is missing or cannot be correct."""
    received, terms = transcript.count.received, transcript.terms
    try:
        counted = transcript.count.counted() if received else buckets(response.usage)
    except Contradiction:
        counted = None
    if not received:
        _note_terms(terms, response)
    is_plausible = counted is not None and is_plausible_usage(counted.usage, wrote=bool(response.parts))
    return Bill(
        usage=counted.usage if counted is not None and is_plausible else None,
        billing=terms.received(written_1h=0 if counted is None else counted.written_1h),
        received=received or raw_count(response.usage),
    )


def buckets(counted: RequestUsage) -> Counted:
    """Return disjoint buckets for the library's common count, whose input includes cached tokens for every provider.

    Raises:
        Contradiction: the count cannot be correct.
    """
    input_tokens, output, read, written = (
        token_count(number)
        for number in (
            counted.input_tokens,
            counted.output_tokens,
            counted.cache_read_tokens,
            counted.cache_write_tokens,
        )
    )
    named = (counted.details.get(name) or 0 for name in _REASONING)
    reasoning = max(map(token_count, (counted.output_reasoning_tokens, *named)))
    written_1h = token_count(counted.cache_write_1h_tokens)
    if read + written > input_tokens or reasoning > output or written_1h > written:
        raise Contradiction("The parts do not add up to the total.")
    usage = Usage(
        input_tokens=input_tokens - read - written,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    return Counted(usage=usage, written_1h=written_1h)


def is_plausible_usage(usage: Usage, *, wrote: bool) -> bool:
    """Return whether the count is plausible for a call with input, and with output if it `wrote` something.

    If a server omits the count, the library reports zeros.
    """
    return usage.total_tokens > usage.output_tokens and (usage.output_tokens > 0 or not wrote)


def _note_terms(terms: Terms, response: ModelResponse) -> None:
    """Record the terms that the library reports."""
    details = response.provider_details or {}
    for name in ("service_tier", "traffic_type"):
        terms.note_tier(name, details.get(name))
    terms.note({"usage": {"prompt_tokens": 0, "speed": details.get("speed")}})
    terms.note_searches(getattr(response.usage, "web_searches", 0))


def raw_count(counted: RequestUsage) -> dict[str, JsonValue]:
    """Return the nonzero numbers of the count as received, for inspection."""
    own = {name: value for name, value in vars(counted).items() if value and isinstance(value, int | float)}
    return {**own, "details": dict(counted.details)}
