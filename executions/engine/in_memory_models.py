"""Models whose replies are written beforehand, and what they write meanwhile."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

from executions.engine.calls import CallKey, ModelReply, ModelRequest
from executions.engine.ports import Heard

Script = Callable[[ModelRequest], Awaitable[ModelReply]]


class ScriptedModelClient:
    """A model whose replies are written beforehand, and that remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[ModelRequest] = []
        self.estimated_cost_usd: Decimal | None = None

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return aliases as models of the provider `scripted`."""
        return (model if ":" in model else f"scripted:{model}",)

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return the same for every request."""
        return self.estimated_cost_usd

    async def complete(self, request: ModelRequest, heard: Heard) -> ModelReply:
        """Reply as written, the arguments of its tools told in two pieces."""
        self.requests.append(request)
        reply = await self.script(request)
        for call in reply.tool_calls:
            text = json.dumps(call.arguments)
            heard(text[: len(text) // 2])
            heard(text[len(text) // 2 :])
        return reply


class InMemoryDraft:
    """What was written in one call, and whether it is over."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False

    def add(self, text: str) -> None:
        """Note what comes next."""
        self.text += text

    def end(self) -> None:
        """Note that the call is over."""
        self.ended = True


class InMemoryDrafts:
    """All that was written, by call."""

    def __init__(self) -> None:
        self.written: dict[CallKey, InMemoryDraft] = {}

    def begin(self, call: CallKey) -> InMemoryDraft:
        """Return the draft of a call."""
        return self.written.setdefault(call, InMemoryDraft())
