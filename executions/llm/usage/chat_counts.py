"""OpenAI's chat API with usage counts that the library rejects: the transcript reads them, and the reply is kept."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion_usage import CompletionUsage
from pydantic import ValidationError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIStreamedResponse


class CountedStream(OpenAIStreamedResponse):
    """A stream whose invalid counts are removed before the library parses them."""

    def _validate_response(self) -> AsyncIterable[ChatCompletionChunk]:
        return _readable_chunks(super()._validate_response())


class CountedChatModel(OpenAIChatModel):
    """A model whose invalid counts are removed. The library documents these methods as extension points."""

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return CountedStream

    def _validate_completion(self, response: ChatCompletion) -> Any:
        _drop_invalid_count(response)
        return super()._validate_completion(response)


async def _readable_chunks(chunks: AsyncIterable[ChatCompletionChunk]) -> AsyncIterator[ChatCompletionChunk]:
    async for chunk in chunks:
        if isinstance(chunk, ChatCompletionChunk):  # servers send other values, for which the library raises errors
            _drop_invalid_count(chunk)
        yield chunk


def _drop_invalid_count(response: ChatCompletion | ChatCompletionChunk) -> None:
    """Remove a count without the library's format. It would raise, or concatenate texts."""
    if response.usage is not None:
        try:
            CompletionUsage.model_validate(response.usage.model_dump(warnings=False), strict=True)
        except (AttributeError, ValidationError):
            response.usage = None
