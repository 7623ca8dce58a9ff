"""Providers that are temporarily unavailable, and the resulting ledger."""

from __future__ import annotations

from typing import Any

from executions.engine.domain.errors import ModelError
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import FailureCode
from executions.engine.testing.in_memory import ManualClock
from executions.engine.transitions import backoff
from tests.factories.engine import World


def busy(seconds: float | None = None, **more: Any) -> ModelError:
    """Return what a provider says that has too much to do."""
    return ModelError(FailureCode.PROVIDER_UNAVAILABLE, "Busy.", transient=True, retry_after=seconds, **more)


def late() -> ModelError:
    """Return that the provider did not answer in time."""
    return ModelError(FailureCode.TIMED_OUT, "Late.", transient=True, cut_off=True)


def too_long() -> ModelError:
    """Return what a model says that cannot read so much."""
    return ModelError(FailureCode.CONTEXT_TOO_LONG, "It is longer than 8,192 tokens.")


def clock(world: World) -> ManualClock:
    """Return the world's clock."""
    assert isinstance(world.ports.clock, ManualClock)
    return world.ports.clock


async def resume(world: World) -> Execution:
    """Resume the due steps, as workers do periodically."""
    return await world.decide(lambda execution, context: backoff.resume_deferred(execution, context=context))


def tries(world: World) -> list[tuple[int, int, str]]:
    """Return (attempt, ordinal, status) of every call, in order."""
    return [(key.attempt, key.ordinal, call.status.value) for key, call in world.ledger.rows.items()]
