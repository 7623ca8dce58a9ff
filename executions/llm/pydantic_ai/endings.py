"""Whether a streamed answer has come to its end: a connection that is closed early looks like one otherwise."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from executions.engine.prompting import lenient_json
from executions.llm.pydantic_ai.tool_calls import is_object

DONE = "done"  # in the details of an answer: its stream has announced its end


def has_ended(response: ModelResponse) -> bool:
    """Return whether a stream said why it stopped, or that it did, or brought what cannot go on.

    Many servers leave the reason out. One complete JSON object is a whole answer, as no part of one is complete.
    """
    details = response.provider_details or {}
    if details.get("finish_reason") or response.finish_reason not in {None, "stop"}:
        return True
    if details.get(DONE) and response.parts:  # an end alone answers nothing
        return True
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if calls:
        return all(_is_whole(call) for call in calls)
    return _is_document("".join(part.content for part in response.parts if isinstance(part, TextPart)))


def _is_whole(call: ToolCallPart) -> bool:
    return is_object(call.args) if isinstance(call.args, str) else bool(call.args)


def _is_document(text: str) -> bool:
    try:
        return isinstance(lenient_json.parse(text), dict)
    except lenient_json.InvalidJson:
        return False
