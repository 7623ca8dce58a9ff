"""The engine's model client: aliases in, the right provider out."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from executions.engine.calls import ModelReply, ModelRequest
from executions.llm import rehearsal


class RoutingModelClient:
    """Sends each request to the provider that its model names."""

    def __init__(self, *, aliases: dict[str, str], rehearsal_latency_seconds: float) -> None:
        self._aliases = aliases
        self._rehearsal = rehearsal.RehearsalModel(latency_seconds=rehearsal_latency_seconds)

    def resolve(self, model: str) -> str:
        """Return the `provider:model` that an alias stands for (itself when it is one already)."""
        return self._aliases.get(model, model)

    async def complete(self, request: ModelRequest) -> ModelReply:
        """Ask the model once.

        Raises:
            ModelError: it could not be asked, or did not answer in time.
        """
        if request.model.partition(":")[0] == rehearsal.PROVIDER:
            return await self._rehearsal.complete(request)
        # Its libraries take more than a second to import: every command would pay for what a worker alone needs.
        from executions.llm.providers import ProviderModel  # noqa: PLC0415

        return await ProviderModel().complete(request)


@cache
def model_client() -> RoutingModelClient:
    """Return the client of this process, as the settings say."""
    return RoutingModelClient(
        aliases=settings.MODEL_ALIASES, rehearsal_latency_seconds=settings.REHEARSAL_LATENCY_SECONDS
    )
