"""Drafts in memory tables, and a client that assembles the text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from executions.engine.domain.errors import DatabaseUnavailable
from executions.progress.live_drafts import Sent
from executions.progress.sse import Message


@dataclass
class Written:
    """A step at work."""

    attempt: int = 1
    ordinal: int = 1
    text: str = ""
    stored: int = 0
    in_table: bool = False

    @property
    def has_news(self) -> bool:
        """Whether there is anything to write."""
        return self.stored < len(self.text) or (self.ordinal > 1 and not self.in_table)


@dataclass
class Tables:
    """Executions, steps and pieces of drafts, as the statement sees them."""

    execution_id: UUID = field(default_factory=uuid4)
    last: int = 1
    steps: dict[str, Written] = field(default_factory=dict)
    pieces: list[tuple[Any, ...]] = field(default_factory=list)
    ids: int = 0
    away: bool = False
    reads: int = 0
    gates: list[asyncio.Event] = field(default_factory=list)  # for which the next answer waits

    async def rows(self, _query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return each step at work with its new pieces."""
        self.reads += 1
        if self.away:
            raise DatabaseUnavailable("The database cannot be reached.")
        [after] = parameters["after"]
        found: list[tuple[Any, ...]] = []
        for step_id, step in self.steps.items():
            mine = [piece for piece in self.pieces if piece[1:3] == (step_id, step.attempt) and piece[0] > after]
            rows: list[tuple[Any, ...]] = [(piece[0], *piece[3:]) for piece in mine]
            for row in rows or [(None, None, None, None)]:
                found.append((self.execution_id, self.last, step_id, step.attempt, *row))
        gates, self.gates = self.gates, []
        for gate in gates:
            await gate.wait()
        return sorted(found, key=lambda row: row[4] or 0)

    def store(self, step_id: str) -> None:
        """Write what a draft has grown by, over what was written from there on already; nothing without beginning."""
        step = self.steps[step_id]
        if not step.has_news:
            return
        call = (step_id, step.attempt, step.ordinal)
        if self.has_lost(step_id):
            step.stored, step.in_table = 0, False
            return
        self.ids += 1
        self.pieces = [each for each in self.pieces if each[1:5] != (*call, step.stored)]
        self.pieces.append((self.ids, *call, step.stored, step.text[step.stored :]))
        step.stored, step.in_table = len(step.text), True

    def has_lost(self, step_id: str) -> bool:
        """Whether the beginning of what was written is not there any more."""
        step = self.steps[step_id]
        beginning = (step_id, step.attempt, step.ordinal, 0)
        return step.in_table and not any(piece[1:5] == beginning for piece in self.pieces)

    def crash(self) -> None:
        """Lose what is in the unlogged table, and how far its ids went."""
        self.pieces, self.ids = [], 0


class Client:
    """Puts the text together as the documentation says."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.sent: Sent = {}
        self.texts: dict[tuple[str, int], str] = {}

    def take(self, messages: list[Message]) -> None:
        """Take in deltas."""
        for message in messages:
            assert b"\nid:" not in message.payload
            shown = json.loads(message.payload.split(b"data: ", 1)[1])
            data = shown["data"]
            key = (shown["step_id"], data["attempt"])
            known = self.texts.get(key, "")
            assert data["offset"] <= len(known), "a character is missing"
            self.texts[key] = known[: data["offset"]] + data["text"]
