"""OpenAI's chat, with counts that the library refuses: the transcript reads them, and the answer is not lost."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.completion_usage import CompletionUsage
from pydantic import ValidationError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIStreamedResponse


class CountedStream(OpenAIStreamedResponse):
    """A stream whose odd counts are left to the transcript."""

    def _validate_response(self) -> AsyncIterable[ChatCompletionChunk]:
        return _readable_chunks(super()._validate_response())


class CountedChatModel(OpenAIChatModel):
    """A model whose odd counts are left to the transcript. The library names these methods for such changes."""

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return CountedStream

    def _validate_completion(self, response: ChatCompletion) -> Any:
        _drop_odd_count(response)
        return super()._validate_completion(response)


async def _readable_chunks(chunks: AsyncIterable[ChatCompletionChunk]) -> AsyncIterator[ChatCompletionChunk]:
    async for chunk in chunks:
        if isinstance(chunk, ChatCompletionChunk):  # servers send other values, which the library tells
            _drop_odd_count(chunk)
        yield chunk


def _drop_odd_count(response: ChatCompletion | ChatCompletionChunk) -> None:
    """Take a count away that does not have the library's form; it would raise, or add texts up."""
    if response.usage is not None:
        try:
            CompletionUsage.model_validate(response.usage.model_dump(warnings=False), strict=True)
        except (AttributeError, ValidationError):
            response.usage = None
