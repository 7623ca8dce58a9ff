"""The engine's model client: aliases in, the right provider out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from common.database.server import database_now
from executions.engine.domain.calls import ModelReply, ModelRequest, max_input_tokens
from executions.engine.ports import OnText, RateLimitPermit
from executions.llm.known_providers import REHEARSAL, is_known
from executions.llm.lazy_import import run_in_loader
from executions.llm.pydantic_ai.options import Options, Output
from executions.llm.rate_limiter import RateLimiter
from executions.llm.rehearsal import model as rehearsal
from telemetry.pricing import prices

if TYPE_CHECKING:
    from executions.llm.pydantic_ai.providers import ProviderModel


class RoutingModelClient:
    """Sends each request to the provider that its model names."""

    def __init__(
        self,
        *,
        aliases: dict[str, str],
        rehearsal_latency_seconds: float,
        max_parallel_calls: int,
        options: Options,
        rate_limiter: RateLimiter,
    ) -> None:
        self._aliases = aliases
        self._options = options
        self._turns = rate_limiter
        self._free = asyncio.Semaphore(max_parallel_calls)
        self._provider: ProviderModel | None = None
        self._rehearsal = rehearsal.RehearsalModel(latency_seconds=rehearsal_latency_seconds)

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the `provider:model` that an alias stands for (itself when it is one already), then its fallbacks."""
        return tuple(each.strip() for each in self._aliases.get(model, model).split(","))

    def knows(self, model: str) -> bool:
        """Return whether there is a provider for a `provider:model`; whether it can be asked shows later."""
        return is_known(model)

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return what asking may cost at most: with the longest answer allowed, and caches used in the dearest way."""
        return prices.max_price(
            request.model,
            input_tokens=max_input_tokens(request),
            output_tokens=request.max_output_tokens,
            at=database_now(),
        )

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[RateLimitPermit]:
        """Wait until the request may be sent: by the limits of its model, and by what this process holds at once.

        Raises:
            RateLimited: the limits would have it wait for too long.
        """
        async with self._turns.permit(request) as turn, self._free:
            yield turn

    async def flush(self) -> None:
        """Return once others know that no call of this process is under way any more."""
        await self._turns.flush()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Ask the model once, in the request's turn; the time that it may take begins now.

        `on_text` is called with each piece of text as the model writes it.

        Raises:
            ModelError: it could not be asked, or did not answer in time.
        """
        if request.model.partition(":")[0] == REHEARSAL:
            return await self._rehearsal.complete(request, on_text)
        if self._provider is None:
            self._provider = await run_in_loader(_provider, self._options)
        return await self._provider.complete(request, on_text)


def _provider(options: Options) -> ProviderModel:
    # Its libraries take more than a second to import: every command would pay for what a worker alone needs.
    from executions.llm.pydantic_ai.providers import ProviderModel  # noqa: PLC0415

    return ProviderModel(options)


@cache
def model_client() -> RoutingModelClient:
    """Return the client of this process, as the settings say."""
    return RoutingModelClient(
        aliases=settings.MODEL_ALIASES,
        rehearsal_latency_seconds=settings.REHEARSAL_LATENCY_SECONDS,
        max_parallel_calls=settings.MODEL_CALLS,
        options=Options(
            streaming=settings.MODEL_STREAMING,
            output=Output(settings.MODEL_OUTPUT) if settings.MODEL_OUTPUT else None,
            connect_seconds=settings.MODEL_CONNECT_SECONDS,
            first_token_seconds=settings.MODEL_FIRST_TOKEN_SECONDS,
        ),
        rate_limiter=RateLimiter(patience_seconds=settings.PARK_AFTER_SECONDS),
    )
