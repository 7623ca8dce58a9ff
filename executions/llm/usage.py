"""What a provider has counted, in our buckets."""

from __future__ import annotations

from pydantic import JsonValue
from pydantic_ai.usage import RequestUsage

from executions.engine.calls import Usage

_MOST = 2**53  # tokens of a bucket; whoever counts more counts wrongly, and the sum of a ledger has to hold it
#: Under which names providers tell what reasoning took, where the common count does not.
_REASONING = ("reasoning_tokens", "thoughts_tokens", "thinking_tokens")


def buckets(counted: RequestUsage) -> Usage:
    """Return disjoint buckets, of the provider-neutral count: it has cached tokens in the input, for every provider.

    A count that contradicts itself (more cached than all of the input) is cut down to what it says of the whole.
    """
    whole, output = _count(counted.input_tokens), _count(counted.output_tokens)
    read = min(_count(counted.cache_read_tokens), whole)
    written = min(_count(counted.cache_write_tokens), whole - read)
    reasoning = max(counted.output_reasoning_tokens, *(counted.details.get(name) or 0 for name in _REASONING))
    return Usage(
        input_tokens=whole - read - written,
        cache_read_input_tokens=read,
        cache_write_input_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(_count(reasoning), output),
    )


def is_known(counted: RequestUsage, *, wrote: bool) -> bool:
    """Whether the count can be that of a call that read something, and `wrote` something or not.

    Servers that leave the count out are read as if they had counted nothing.
    """
    numbers = [value for value in vars(counted).values() if isinstance(value, int | float)]
    return min(numbers, default=0) >= 0 and counted.input_tokens > 0 and (counted.output_tokens > 0 or not wrote)


def _count(number: int) -> int:
    return min(max(int(number), 0), _MOST)


def as_counted(counted: RequestUsage) -> dict[str, JsonValue]:
    """Return the count as it came, for the record: what is zero is left out."""
    own = {name: value for name, value in vars(counted).items() if value and isinstance(value, int | float)}
    return {**own, "details": dict(counted.details)}
