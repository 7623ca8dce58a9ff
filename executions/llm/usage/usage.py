"""What a provider has counted: by its own words, or by its library where those were not heard."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

from executions.engine.domain.calls import Usage
from executions.llm.usage.billing import Terms
from executions.llm.usage.counts import Contradiction, Counted, token_count
from executions.llm.usage.transcript import Transcript

#: Under which names libraries tell what reasoning took, where the common count does not.
_REASONING = ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a call has used, and on which terms."""

    usage: Usage | None  # None: not known
    billing: dict[str, JsonValue]
    received: dict[str, JsonValue]  # the count as it came, for the record


def bill(response: ModelResponse, transcript: Transcript) -> Bill:
    """Return what a call has used. A count that cannot be right, or is none, is not known."""
    said, terms = transcript.count.received, transcript.terms
    try:
        counted = transcript.count.counted() if said else buckets(response.usage)
    except Contradiction:
        counted = None
    if not said:
        _note(terms, response)
    known = counted is not None and is_plausible_usage(counted.usage, wrote=bool(response.parts))
    return Bill(
        usage=counted.usage if counted is not None and known else None,
        billing=terms.received(written_1h=0 if counted is None else counted.written_1h),
        received=said or raw_count(response.usage),
    )


def buckets(counted: RequestUsage) -> Counted:
    """Return disjoint buckets, of the provider-neutral count: it has cached tokens in the input, for every provider.

    Raises:
        Contradiction: it cannot be right.
    """
    sent, output, read, written = (
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
    if read + written > sent or reasoning > output or written_1h > written:
        raise Contradiction("The parts are not the whole.")
    usage = Usage(
        input_tokens=sent - read - written,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    return Counted(usage=usage, written_1h=written_1h)


def is_plausible_usage(usage: Usage, *, wrote: bool) -> bool:
    """Whether the count can be that of a call that read something, and `wrote` something or not.

    Servers that leave the count out are read as if they had counted nothing.
    """
    return usage.total_tokens > usage.output_tokens and (usage.output_tokens > 0 or not wrote)


def _note(terms: Terms, response: ModelResponse) -> None:
    """Note the terms as far as the library tells them."""
    details = response.provider_details or {}
    for name in ("service_tier", "traffic_type"):
        terms.note_tier(name, details.get(name))
    terms.note({"usage": {"prompt_tokens": 0, "speed": details.get("speed")}})
    terms.note_searches(getattr(response.usage, "web_searches", 0))


def raw_count(counted: RequestUsage) -> dict[str, JsonValue]:
    """Return the count as it came, for the record: what is zero is left out."""
    own = {name: value for name, value in vars(counted).items() if value and isinstance(value, int | float)}
    return {**own, "details": dict(counted.details)}
