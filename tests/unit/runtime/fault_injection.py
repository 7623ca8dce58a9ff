"""Ports that fail at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from executions.engine.domain.calls import Call
from executions.engine.domain.execution import Execution
from executions.engine.domain.states import CallStatus
from executions.engine.ports import Transition
from executions.engine.testing.in_memory import InMemoryJournal, InMemoryLedger
from tests.factories.engine import World


@dataclass
class Hindered(InMemoryJournal):
    """A journal that something happens to, once, just before it would store a chosen transition."""

    chosen: Callable[[Transition], bool] = bool
    error: Exception | None = None
    hindered: int = 0
    commits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def commit(self, transition: Transition) -> Execution:
        """Store it, later or not at all."""
        self.commits += 1
        if not self.hindered and self.chosen(transition):
            self.hindered += 1
            self.reached.set()
            if self.error is not None:
                raise self.error
            await self.opened.wait()
        return await super().commit(transition)


class LateLedger(InMemoryLedger):
    """A ledger that answers its first question late."""

    def __init__(self, ledger: InMemoryLedger) -> None:
        super().__init__()
        self.ledger = ledger
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def calls(self, execution_id: UUID, step_id: str) -> list[Call]:
        """Return the step's calls as they are once the gate is open."""
        self.reached.set()
        await self.opened.wait()
        return await self.ledger.calls(execution_id, step_id)

    async def settle(self, call: Call) -> None:
        """Keep what became of a call."""
        await self.ledger.settle(call)


def hinder(world: World, chosen: Callable[[Transition], bool], error: Exception | None = None) -> Hindered:
    """Put something in the way of the world's journal."""
    hindered = Hindered(**vars(world.journal), chosen=chosen, error=error)
    world.ports = replace(world.ports, journal=hindered)
    return hindered


def has_document(transition: Transition) -> bool:
    """Whether it stores a document."""
    return transition.document is not None


def announces(transition: Transition) -> bool:
    """Whether it announces a call and settles none."""
    return bool(transition.calls) and all(call.status is CallStatus.PENDING for call in transition.calls)
