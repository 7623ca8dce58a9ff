"""Scripted models and in-memory drafts for tests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from executions.engine.domain.calls import TEXT_ONLY, CallKey, ModelReply, ModelRequest, Reading
from executions.engine.domain.errors import RateLimited
from executions.engine.ports import OnText

ReplyFunction = Callable[[ModelRequest], Awaitable[ModelReply]]


class UnlimitedPermit:
    """A rate limit permit without a limit."""

    def used(self, tokens: int) -> None:
        """Do nothing."""


class ScriptedModelClient:
    """A model with scripted replies that records its requests."""

    def __init__(self, script: ReplyFunction) -> None:
        self.script = script
        self.requests: list[ModelRequest] = []
        self.estimated_cost_usd: Decimal | None = None
        self.readings: dict[str, Reading] = {}  # by `provider:model`; other models read text alone
        self.turns: list[float] = []  # seconds to wait for the next calls; each entry rejects one call

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return aliases as models of the provider `scripted`."""
        return (model if ":" in model else f"scripted:{model}",)

    def knows(self, model: str) -> bool:
        """Return True for every model."""
        return True

    def reading(self, model: str) -> Reading:
        """Return what the test says of the model."""
        return self.readings.get(model, TEXT_ONLY)

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return the same estimate for every request."""
        return self.estimated_cost_usd

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[UnlimitedPermit]:
        """Return a permit at once, unless the test has scripted a wait."""
        if self.turns:
            raise RateLimited(request.model, seconds=self.turns.pop(0))
        yield UnlimitedPermit()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Return the scripted reply; pass the arguments of its tools on in two pieces."""
        self.requests.append(request)
        reply = await self.script(request)
        for call in reply.tool_calls:
            text = json.dumps(call.arguments)
            on_text(text[: len(text) // 2])
            on_text(text[len(text) // 2 :])
        return reply


class InMemoryDraft:
    """The text of one call, and whether the call has ended."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False

    def add(self, text: str) -> None:
        """Append text."""
        self.text += text

    def end(self) -> None:
        """Mark the call as ended."""
        self.ended = True


class InMemoryDrafts:
    """The drafts of all calls."""

    def __init__(self) -> None:
        self.written: dict[CallKey, InMemoryDraft] = {}

    def begin(self, call: CallKey) -> InMemoryDraft:
        """Return the draft of a call."""
        return self.written.setdefault(call, InMemoryDraft())
