"""Wire formats of providers: OpenAI's chat and Anthropic's messages, complete or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

PIECE = 20  # characters of a tool's arguments in one piece
ENDING = 3  # pieces after the last of a tool's arguments


def completion(name: str, arguments: object, *, tokens: tuple[int, int] = (10, 5)) -> dict[str, Any]:
    """Return an answer of OpenAI's chat that calls one tool; `tokens` are read and written."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-5",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }


def message(name: str, arguments: object, *, tokens: tuple[int, int] = (10, 5)) -> dict[str, Any]:
    """Return an answer of Anthropic's messages that calls one tool; `tokens` are read and written."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "content": [{"type": "tool_use", "id": "toolu_1", "name": name, "input": arguments}],
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }


def pieces(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield an answer as the events of a stream."""
    return _messages(answer) if answer.get("type") == "message" else _chunks(answer)


def _chunks(answer: Mapping[str, Any]) -> Iterator[bytes]:
    [choice] = answer["choices"]
    said = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": said["content"]}]
    for index, call in enumerate(said.get("tool_calls") or ()):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in _parts(arguments)]
    common = {**{name: answer[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    for delta in deltas:
        yield _event({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    yield _event({**common, "choices": [], "usage": answer["usage"]})
    yield b"data: [DONE]\n\n"


def _messages(answer: Mapping[str, Any]) -> Iterator[bytes]:
    usage = {**answer["usage"], "output_tokens": 1}
    yield _typed("message_start", message={**answer, "content": [], "stop_reason": None, "usage": usage})
    for index, block in enumerate(answer["content"]):
        if block["type"] == "tool_use":
            yield _typed("content_block_start", index=index, content_block={**block, "input": {}})
            for part in _parts(json.dumps(block["input"])):
                yield _typed(
                    "content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part}
                )
        else:
            yield _typed("content_block_start", index=index, content_block={**block, "text": ""})
            for part in _parts(block["text"]):
                yield _typed("content_block_delta", index=index, delta={"type": "text_delta", "text": part})
        yield _typed("content_block_stop", index=index)
    ended = {name: answer[name] for name in ("stop_reason", "stop_sequence")}
    yield _typed("message_delta", delta=ended, usage={"output_tokens": answer["usage"]["output_tokens"]})
    yield _typed("message_stop")


def _parts(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def _typed(kind: str, **more: object) -> bytes:
    return f"event: {kind}\n".encode() + _event({"type": kind, **more})


def _event(data: object) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
