"""OpenAI's chat API, with the deviations of compatible servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from openai.types import chat
from openai.types.chat import chat_completion_chunk
from pydantic_ai.messages import ModelResponseStreamEvent
from pydantic_ai.models.openai import OpenAIStreamedResponse

from executions.llm.pydantic_ai.endings import DONE
from executions.llm.pydantic_ai.tool_calls import StreamedCalls
from executions.llm.pydantic_ai.transport import is_done
from executions.llm.usage.chat_counts import CountedChatModel, CountedStream


@dataclass
class ChatStream(CountedStream):
    """A stream that accepts tool calls in all known formats."""

    _calls: StreamedCalls = field(default_factory=StreamedCalls, init=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        async for event in super()._get_event_iterator():
            yield event
        if is_done(self._response.source.response):
            self.provider_details = {**(self.provider_details or {}), DONE: True}
        for call in self._calls.all:
            if call.arguments != "".join(call.emitted):  # the arguments that were passed on so far were wrong
                yield self._parts_manager.handle_tool_call_part(
                    vendor_part_id=call.number, tool_name=call.name, args=call.arguments, tool_call_id=call.id or None
                )

    def _map_tool_call_delta(self, choice: chat_completion_chunk.Choice) -> Iterator[ModelResponseStreamEvent]:
        for delta in choice.delta.tool_calls or []:
            function = delta.function
            name, arguments = (function.name or "", function.arguments) if function is not None else ("", None)
            call = self._calls.of(delta.index, name=name, arguments=arguments)
            is_first, call.id = not call.emitted, call.id or delta.id or ""
            new_name, new = call.add_name(name), "" if arguments is None else call.add(arguments)
            if is_first:
                self._advance_part_boundary("tool")
                call.emitted.append("")
            yield from self._parts_manager.handle_tool_call_delta_events(
                vendor_part_id=call.number,
                tool_name=new_name if is_first else new_name or None,
                args=new,
                tool_call_id=call.id or None,
            )


class ChatModel(CountedChatModel):
    """A model behind OpenAI's chat API, at OpenAI or on a self-hosted server."""

    @property
    def _streamed_response_cls(self) -> type[OpenAIStreamedResponse]:
        return ChatStream

    def _validate_completion(self, response: chat.ChatCompletion) -> Any:
        choices: Any = response.choices  # unvalidated, as received
        for choice in choices or ():
            choice.finish_reason = choice.finish_reason or self._missing_finish_reason(choice)
            for call in getattr(choice.message, "tool_calls", None) or ():
                _complete(call)
        return super()._validate_completion(response)


def _complete(call: Any) -> None:
    """Fill in fields that servers omit in a tool call, and encode arguments that are an object as text."""
    call.id, call.type = call.id or "", call.type or "function"
    function = getattr(call, "function", None)
    if function is None:
        return
    function.name = function.name or ""
    if not isinstance(function.arguments, str):
        function.arguments = json.dumps(function.arguments or {}, ensure_ascii=False)
