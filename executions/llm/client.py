"""The engine's model client: resolves aliases and routes requests to providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from common.database.server import database_now
from documents.files import storage
from executions.db_threads import retry_while_unavailable
from executions.engine.domain.calls import ModelReply, ModelRequest, Reading, max_input_tokens
from executions.engine.ports import OnText, RateLimitPermit
from executions.llm.file_support import Rule, reading_of, rules_of
from executions.llm.known_providers import REHEARSAL, is_known
from executions.llm.lazy_import import run_in_loader
from executions.llm.pydantic_ai.options import Options, Output
from executions.llm.rate_limiter import RateLimiter
from executions.llm.rehearsal import model as rehearsal
from telemetry.pricing import prices

if TYPE_CHECKING:
    from executions.llm.pydantic_ai.providers import ProviderModel


_MAX_FILE_CALLS = 8  # calls with files at once: each has its bytes in memory several times


class RoutingModelClient:
    """Routes each request to the provider of its model."""

    def __init__(
        self,
        *,
        aliases: dict[str, str],
        rehearsal_latency_seconds: float,
        max_parallel_calls: int,
        options: Options,
        rate_limiter: RateLimiter,
        readings: Sequence[Rule] = (),
    ) -> None:
        self._aliases = aliases
        self._readings = readings
        self._free_for_files = asyncio.Semaphore(min(_MAX_FILE_CALLS, max_parallel_calls))
        self._options = options
        self._turns = rate_limiter
        self._free = asyncio.Semaphore(max_parallel_calls)
        self._provider: ProviderModel | None = None
        self._rehearsal = rehearsal.RehearsalModel(latency_seconds=rehearsal_latency_seconds)

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the `provider:model` of an alias, followed by its fallbacks; a `provider:model` is returned itself."""
        return tuple(each.strip() for each in self._aliases.get(model, model).split(","))

    def knows(self, model: str) -> bool:
        """Return whether the provider of a `provider:model` is known. Whether it can be reached shows only later."""
        return is_known(model)

    def reading(self, model: str) -> Reading:
        """Return which files a `provider:model` reads as they are."""
        return reading_of(model, self._readings)

    def estimate(self, request: ModelRequest) -> Decimal | None:
        """Return the maximum cost of a call: with the longest permitted reply and the most expensive use of caches."""
        return prices.max_price(
            request.model,
            input_tokens=max_input_tokens(request),
            output_tokens=request.max_output_tokens,
            at=database_now(),
        )

    @asynccontextmanager
    async def permit(self, request: ModelRequest) -> AsyncIterator[RateLimitPermit]:
        """Wait for a permit to send the request: by the model's rate limits, and by the limit of parallel calls.

        Raises:
            RateLimited: no permit will be free soon enough.
        """
        of_files = self._free_for_files if request.attachments else nullcontext()
        async with of_files, self._turns.permit(request) as turn, self._free:  # no permit waits for a place
            yield turn

    async def flush(self) -> None:
        """Return when the end of all calls of this process has been reported to the other workers."""
        await self._turns.flush()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Call the model once, with a permit; its time limit starts now.

        `on_text` gets each piece of text as the model writes it.

        Raises:
            ModelError: the model could not be called, or did not reply in time.
        """
        if request.model.partition(":")[0] == REHEARSAL:
            return await self._rehearsal.complete(request, on_text)
        if self._provider is None:
            self._provider = await run_in_loader(_provider, self._options)
        hashes = {each.sha256 for each in request.attachments}
        files = await retry_while_unavailable(storage.contents, hashes) if hashes else {}
        return await self._provider.complete(request, on_text, files=files)


def _provider(options: Options) -> ProviderModel:
    # The providers' libraries take more than a second to import, and only workers need them.
    from executions.llm.pydantic_ai.providers import ProviderModel  # noqa: PLC0415

    return ProviderModel(options)


@cache
def model_client() -> RoutingModelClient:
    """Return this process's client, configured by the settings."""
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
        rate_limiter=RateLimiter(patience_seconds=settings.DEFER_AFTER_SECONDS),
        readings=rules_of(settings.MODEL_FILES),
    )
