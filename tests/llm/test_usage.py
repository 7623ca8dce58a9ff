"""Tokens in disjoint buckets, however a provider counts them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.usage import RequestUsage

from executions.engine.calls import Usage
from executions.llm.usage import as_counted, buckets

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
    assert buckets(counted("anthropic", body, details={"thinking_tokens": 50})) == WANTED


def test_openai_counts_cached_tokens_within_the_input() -> None:
    prompt = {"cached_tokens": 300, "cache_write_tokens": 100}
    chat = {
        "prompt_tokens": 1000,
        "prompt_tokens_details": prompt,
        "completion_tokens": 250,
        "completion_tokens_details": {"reasoning_tokens": 50},
    }
    assert buckets(counted("openai", {"model": "gpt-6-sol", "usage": chat}, api_flavor="chat")) == WANTED
    responses = {
        "input_tokens": 1000,
        "input_tokens_details": prompt,
        "output_tokens": 250,
        "output_tokens_details": {"reasoning_tokens": 50},
    }
    assert buckets(counted("openai", {"model": "gpt-6-sol", "usage": responses}, api_flavor="responses")) == WANTED


def test_google_counts_thoughts_beside_the_output() -> None:
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 200,
        "thoughtsTokenCount": 50,
    }
    body = {"modelVersion": "gemini-2.5-pro", "usageMetadata": usage}
    found = buckets(counted("google", body, details={"thoughts_tokens": 50}))
    assert found == WANTED.model_copy(update={"cache_read_input_tokens": 400, "cache_write_input_tokens": 0})


@pytest.mark.parametrize("name", ["reasoning_tokens", "thoughts_tokens", "thinking_tokens"])
def test_what_reasoning_took_is_found_under_each_of_its_names(name: str) -> None:
    assert buckets(RequestUsage(output_tokens=250, details={name: 50})).reasoning_tokens == 50
    assert buckets(RequestUsage(output_tokens=250, output_reasoning_tokens=50)).reasoning_tokens == 50


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
    )
    assert (found.input_tokens, found.cache_read_input_tokens, found.cache_write_input_tokens) == (whole, read, written)
    assert (found.output_tokens, found.reasoning_tokens) == (output + reasoning, reasoning)
    assert found.total_tokens == whole + read + written + output + reasoning


wild = st.integers(-(10**40), 10**40)


@given(whole=wild, read=wild, written=wild, output=wild, reasoning=wild)
def test_a_count_that_contradicts_itself_is_cut_down_and_not_refused(
    whole: int, read: int, written: int, output: int, reasoning: int
) -> None:
    found = buckets(
        RequestUsage(
            input_tokens=whole,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=output,
            details={"reasoning_tokens": reasoning},
        )
    )
    assert all(0 <= number <= 2**53 for number in found.model_dump().values())
    sent = found.input_tokens + found.cache_read_input_tokens + found.cache_write_input_tokens
    assert sent == min(max(whole, 0), 2**53)
    assert found.reasoning_tokens <= found.output_tokens


def test_the_count_is_kept_as_it_came() -> None:
    usage = RequestUsage(input_tokens=10, cache_read_tokens=4, details={"audio_tokens": 3, "accepted": 0})
    assert as_counted(usage) == {
        "input_tokens": 10,
        "cache_read_tokens": 4,
        "details": {"audio_tokens": 3, "accepted": 0},
    }
    assert as_counted(RequestUsage(unmeasured_requests=1)) == {"unmeasured_requests": 1, "details": {}}
