"""Tokens in disjoint buckets, for each provider's way of counting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.usage import RequestUsage

from executions.engine.domain.calls import Usage
from executions.llm.usage.counts import Contradiction
from executions.llm.usage.usage import buckets, raw_count

WANTED = Usage(
    input_tokens=600,
    cache_read_input_tokens=300,
    cache_write_input_tokens=100,
    output_tokens=250,
    reasoning_tokens=50,
)


def counted(provider: str, body: dict[str, Any], **more: Any) -> RequestUsage:
    """Return what the providers' library reads from a reply."""
    return RequestUsage.extract(body, provider=provider, provider_url="", provider_fallback=provider, **more)


def test_anthropic_counts_cached_tokens_beside_the_input() -> None:
    usage = {
        "input_tokens": 600,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 100,
        "output_tokens": 250,
    }
    body = {"model": "claude-sonnet-5-5", "usage": usage}
    assert buckets(counted("anthropic", body, details={"thinking_tokens": 50})).usage == WANTED


def test_openai_counts_cached_tokens_within_the_input() -> None:
    prompt = {"cached_tokens": 300, "cache_write_tokens": 100}
    chat = {
        "prompt_tokens": 1000,
        "prompt_tokens_details": prompt,
        "completion_tokens": 250,
        "completion_tokens_details": {"reasoning_tokens": 50},
    }
    assert buckets(counted("openai", {"model": "gpt-6-sol", "usage": chat}, api_flavor="chat")).usage == WANTED
    responses = {
        "input_tokens": 1000,
        "input_tokens_details": prompt,
        "output_tokens": 250,
        "output_tokens_details": {"reasoning_tokens": 50},
    }
    assert (
        buckets(counted("openai", {"model": "gpt-6-sol", "usage": responses}, api_flavor="responses")).usage == WANTED
    )


def test_google_counts_thoughts_beside_the_output() -> None:
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 200,
        "thoughtsTokenCount": 50,
    }
    body = {"modelVersion": "gemini-2.5-pro", "usageMetadata": usage}
    found = buckets(counted("google", body, details={"thoughts_tokens": 50}))
    assert found.usage == WANTED.model_copy(update={"cache_read_input_tokens": 400, "cache_write_input_tokens": 0})


@pytest.mark.parametrize("name", ["reasoning_tokens", "thoughts_tokens", "thinking_tokens"])
def test_what_reasoning_took_is_found_under_each_of_its_names(name: str) -> None:
    assert buckets(RequestUsage(output_tokens=250, details={name: 50})).usage.reasoning_tokens == 50
    assert buckets(RequestUsage(output_tokens=250, output_reasoning_tokens=50)).usage.reasoning_tokens == 50


numbers = st.integers(0, 10**6)


@given(whole=numbers, read=numbers, written=numbers, output=numbers, reasoning=numbers)
def test_buckets_are_disjoint_and_add_up_to_what_was_counted(
    whole: int, read: int, written: int, output: int, reasoning: int
) -> None:
    found = buckets(
        RequestUsage(
            input_tokens=whole + read + written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=output + reasoning,
            output_reasoning_tokens=reasoning,
        )
    ).usage
    assert (found.input_tokens, found.cache_read_input_tokens, found.cache_write_input_tokens) == (whole, read, written)
    assert (found.output_tokens, found.reasoning_tokens) == (output + reasoning, reasoning)
    assert found.total_tokens == whole + read + written + output + reasoning


wild = st.integers(-(10**40), 10**40) | st.integers(-1, 20)


@given(whole=wild, read=wild, written=wild, output=wild, reasoning=wild)
def test_a_count_is_what_was_said_or_not_known(
    whole: int, read: int, written: int, output: int, reasoning: int
) -> None:
    count = RequestUsage(
        input_tokens=whole,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        details={"reasoning_tokens": reasoning},
    )
    can_be = min(whole, read, written, output, reasoning) >= 0 and max(whole, output) <= 2**53
    if can_be and read + written <= whole and reasoning <= output:
        assert buckets(count).usage.total_tokens == whole + output
    else:
        with pytest.raises(Contradiction):
            buckets(count)


def test_the_count_is_kept_as_it_came() -> None:
    usage = RequestUsage(input_tokens=10, cache_read_tokens=4, details={"audio_tokens": 3, "accepted": 0})
    assert raw_count(usage) == {
        "input_tokens": 10,
        "cache_read_tokens": 4,
        "details": {"audio_tokens": 3, "accepted": 0},
    }
    assert raw_count(RequestUsage(unmeasured_requests=1)) == {"unmeasured_requests": 1, "details": {}}
