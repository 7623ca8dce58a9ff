"""Models whose replies are written beforehand, and what they write meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from executions.engine.domain.calls import CallKey, ModelReply, ModelRequest
from executions.engine.domain.errors import RateLimited
from executions.engine.ports import OnText

ReplyFunction = Callable[[ModelRequest], Awaitable[ModelReply]]


class UnlimitedPermit:
    """The leave to send a request, where nobody counts."""

    def used(self, tokens: int) -> None:
        """Count nothing."""


class ScriptedModelClient:
    """A model whose replies are written beforehand, and that remembers what it was asked."""

    def __init__(self, script: ReplyFunction) -> None:
        self.script = script
        self.requests: list[ModelRequest] = []
        self.estimated_cost_usd: Decimal | None = None
        self.turns: list[float] = []  # seconds that the next calls have to wait, before any other is let in

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return aliases as models of the provider `scripted`."""
        return (model if ":" in model else f"scripted:{model}",)

    def knows(self, model: str) -> bool:
        """Know them all."""
        return True

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return the same for every request."""
        return self.estimated_cost_usd

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[UnlimitedPermit]:
        """Let everybody ask at once, unless the test says otherwise."""
        if self.turns:
            raise RateLimited(request.model, seconds=self.turns.pop(0))
        yield UnlimitedPermit()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Reply as written, the arguments of its tools told in two pieces."""
        self.requests.append(request)
        reply = await self.script(request)
        for call in reply.tool_calls:
            text = json.dumps(call.arguments)
            on_text(text[: len(text) // 2])
            on_text(text[len(text) // 2 :])
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
