"""Errors for too long prompts, as each server words them, over real HTTP; and similar other errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from executions.engine.domain.errors import ModelError
from executions.engine.domain.states import FailureCode
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.options import Options
from executions.llm.pydantic_ai.overflow import overflows
from tests.integration.llm.calls.test_failures import request_to
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.text_listeners import ignore

OPENAI, ANTHROPIC, GOOGLE = "openai:gpt-5", "anthropic:claude-sonnet-5-5", "google:gemini-2.5-pro"
LLAMA = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 4096,
    }
}
STUDIO = (
    "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length "
    "of only 4096 tokens, which is not enough. Try to load the model with a larger context length."
)
KEEP = (
    "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model "
    "with a larger context length, or provide a shorter input"
)
SGLANG = (
    "Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9000 "
    "tokens: 8500 tokens from the input messages and 500 tokens for the completion."
)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys that no real provider knows, and clients that are made anew."""
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
    providers._models.clear()
    yield
    providers._models.clear()


async def failure(monkeypatch: pytest.MonkeyPatch, model: str, said: Answer, *, streaming: bool) -> ModelError:
    """Return what asking a server that says this fails with."""
    with model_server(said) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        with pytest.raises(ModelError) as failed:
            await providers.ProviderModel(Options(streaming=streaming)).complete(request_to(model), ignore)
        assert len(server.asked) == 1
    return failed.value


def event(body: object) -> Answer:
    """Return a stream that consists of one event."""
    return Answer(body=f"data: {json.dumps(body)}\n\ndata: [DONE]\n\n", type="text/event-stream")


OVERFLOWS = {
    "llama.cpp": (OPENAI, Answer(status=400, body=LLAMA), True),
    "llama.cpp, whole": (OPENAI, Answer(status=400, body=LLAMA), False),
    "llama.cpp, by its type alone": (
        OPENAI,
        Answer(status=500, body={"error": {"code": 500, "message": "No.", "type": "exceed_context_size_error"}}),
        True,
    ),
    "llama.cpp, in the stream": (OPENAI, event(LLAMA), True),
    "LM Studio": (OPENAI, Answer(status=400, body={"error": STUDIO}), True),
    "LM Studio, in the stream": (OPENAI, event({"error": {"message": KEEP}}), True),
    "LM Studio, whole, as if all were well": (OPENAI, Answer(body={"error": KEEP}), False),
    "SGLang": (OPENAI, Answer(status=400, body={"object": "error", "message": SGLANG, "code": 400}), True),
    "Anthropic, input and output": (
        ANTHROPIC,
        Answer(
            status=400,
            body={
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000",
                },
            },
        ),
        True,
    ),
    "Google": (
        GOOGLE,
        Answer(
            status=400,
            body={
                "error": {
                    "code": 400,
                    "message": "The input token count (2000000) exceeds the maximum number of tokens allowed (1024).",
                    "status": "INVALID_ARGUMENT",
                }
            },
        ),
        True,
    ),
}


@pytest.mark.parametrize(("model", "said", "streaming"), OVERFLOWS.values(), ids=OVERFLOWS)
async def test_a_prompt_that_is_too_long_is_known_by_each_servers_words(
    monkeypatch: pytest.MonkeyPatch, model: str, said: Answer, streaming: bool
) -> None:
    error = await failure(monkeypatch, model, said, streaming=streaming)
    assert (error.failure_code, error.transient) == (FailureCode.CONTEXT_TOO_LONG, False)
    assert str(error).endswith(". Lower the step's input_token_budget, or choose a model with a larger context window.")


REJECTED = {
    "a long answer": "max_tokens is too large: 100000. This model supports at most 4096 completion tokens.",
    "a long answer, vLLM": (
        "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 "
        "tokens and your request has 50 input tokens (9000 > 4096 - 50)."
    ),
    "Groq": "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
    "`context_window` for this model",
    "a schema": "Invalid schema for function 'submit_document': the description is longer than 1024 characters.",
    "a parameter": "Unsupported parameter: 'max_completion_tokens' is not supported with this model.",
}


@pytest.mark.parametrize("words", REJECTED.values(), ids=REJECTED)
async def test_another_bad_request_that_speaks_of_tokens_is_none(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    body: dict[str, Any] = {"error": {"message": words, "type": "invalid_request_error", "code": None}}
    error = await failure(monkeypatch, OPENAI, Answer(status=400, body=body), streaming=True)
    assert error.failure_code is FailureCode.PROVIDER_REJECTED
    assert "max_output_tokens" in str(error)


async def test_a_body_that_quotes_the_prompt_says_nothing_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"detail": [{"loc": ["body", "x"], "msg": "Extra inputs are not permitted", "input": "prompt is too long"}]}
    error = await failure(monkeypatch, OPENAI, Answer(status=422, body=body), streaming=True)
    assert error.failure_code is FailureCode.PROVIDER_REJECTED
    assert "(HTTP 422): Extra inputs are not permitted. The provider rejected the request" in str(error)


async def test_a_rate_that_counts_tokens_is_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"error": {"message": "Too many tokens: the prompt is too long for your rate limit."}}
    error = await failure(monkeypatch, OPENAI, Answer(status=429, body=body), streaming=True)
    assert (error.failure_code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "'max_tokens' or 'max_completion_tokens' is too large: 500. This model's maximum context length is 4096 "
        "tokens and your request has 4000 input tokens (500 > 4096 - 4000).",
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 tokens.",
        "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 512 `max_new_tokens`",
        "Input validation error: `inputs` must have less than 4095 `input_tokens`. Given: 5000",
        "Please reduce the length of the messages or completion.",
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        "Input is too long for requested model.",
        "prompt too long; exceeded max context length by 904 tokens",
        "the input length exceeds the context length",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",
        "Invalid request: Your request exceeded model token limit: 8192",
        "Range of input length should be [1, 30720]",
        "The prompt is too long: 9000, model maximum context length: 8192",
    ],
)
def test_words_of_others(words: str) -> None:
    assert overflows(words)
