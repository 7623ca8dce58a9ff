"""Detection of complete streams: a connection that is closed early would otherwise look complete."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from executions.engine.prompting import lenient_json
from executions.llm.pydantic_ai.tool_calls import is_object

DONE = "done"  # key in the details of a reply: its stream has announced its end


def has_ended(response: ModelResponse) -> bool:
    """Return whether a stream gave a finish reason, announced its end, or is complete by its content.

    Many servers omit the reason. A complete JSON object is a complete reply, because no prefix of it is complete.
    """
    details = response.provider_details or {}
    if details.get("finish_reason") or response.finish_reason not in {None, "stop"}:
        return True
    if details.get(DONE) and response.parts:  # an end without content is no reply
        return True
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    if calls:
        return all(_is_complete(call) for call in calls)
    return _is_document("".join(part.content for part in response.parts if isinstance(part, TextPart)))


def _is_complete(call: ToolCallPart) -> bool:
    return is_object(call.args) if isinstance(call.args, str) else bool(call.args)


def _is_document(text: str) -> bool:
    try:
        return isinstance(lenient_json.parse(text), dict)
    except lenient_json.InvalidJson:
        return False
