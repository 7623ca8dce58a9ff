"""The workload for the product: a workflow with a chain of steps, and a model that replies immediately."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from django.utils import timezone
from pydantic import JsonValue

from access.services import ensure_user
from access.user import User
from benchmarks.metrics import Meter
from benchmarks.workload import TEXT, USER, WORKFLOW, Size
from executions import composition
from executions.engine.domain.calls import TEXT_ONLY, ModelReply, ModelRequest, Reading, ToolCall, Usage
from executions.engine.ports import OnText, Ports
from executions.engine.testing.in_memory_models import UnlimitedPermit
from executions.services import executions
from executions.worker import advance
from workflows import repository as workflows
from workflows.definitions.parser import parse_definition

CONTENT = {"title": "T", "text": TEXT}
SCHEMA: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "text": {"type": "string"}},
    "required": ["title", "text"],
}
REPLY = ModelReply(
    provider="scripted",
    model="writer",
    tool_calls=(ToolCall(name="submit_document", arguments={"title": "T", "text": TEXT}),),
    usage=Usage(input_tokens=100, output_tokens=100),
    cost_usd=Decimal("0.001"),
)


class InstantModel:
    """A model that replies to every request with the same document, after a fixed time."""

    def __init__(self, *, seconds: float = 0.0, calls_at_once: int = 1_000_000, meter: Meter | None = None) -> None:
        self._seconds = seconds
        self._slots = asyncio.Semaphore(calls_at_once)
        self._meter = meter

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the model unchanged."""
        return (model,)

    def knows(self, _model: str) -> bool:
        """Return True."""
        return True

    def reading(self, _model: str) -> Reading:
        """Return that it reads text alone."""
        return TEXT_ONLY

    def estimate(self, _request: ModelRequest) -> Decimal | None:
        """Return None: no price."""
        return None

    @asynccontextmanager
    async def permit(self, _request: ModelRequest) -> AsyncIterator[UnlimitedPermit]:
        """Grant a permit."""
        yield UnlimitedPermit()

    async def complete(self, _request: ModelRequest, _heard: OnText) -> ModelReply:
        """Return the reply."""
        if self._meter is not None and (task := asyncio.current_task()) is not None:
            self._meter.step(task.get_name().partition(" ")[0])  # the runner names the task by execution and step
        async with self._slots:
            if self._seconds:
                await asyncio.sleep(self._seconds)
        return REPLY


def use_model(model: InstantModel) -> Ports:
    """Use the model for all calls of this process; return its ports."""
    ports = replace(composition.build_ports(), models=model)
    advance.build_ports = lambda: ports  # type: ignore[assignment, attr-defined]
    return ports


def publish(steps: int, *, model: str = "openai:writer") -> User:
    """Publish the workflow; return the user that starts it."""
    chain = [
        {
            "id": f"s{number}",
            "name": f"Step {number}",
            "role": "writer",
            "task": "Write.",
            "inputs": [f"d{number - 1}"] if number else [],
            "produces": f"d{number}",
            "output_schema": SCHEMA,
            "model": model,
        }
        for number in range(steps)
    ]
    roles = {"writer": {"name": "Writer", "instructions": "You write."}}
    workflows.publish(
        parse_definition({"id": WORKFLOW, "name": "Chain", "description": "A chain.", "roles": roles, "steps": chain}),
        now=timezone.now(),
    )
    return ensure_user(name=USER)


def start(user: User, name: str) -> UUID:
    """Start one execution in a scope of its own."""
    return executions.start_execution(
        user=user, workflow_id=WORKFLOW, scope_type="project", scope_id=name, input="A brief.", now=timezone.now()
    ).id


def start_all(size: Size) -> list[UUID]:
    """Publish the workflow, and start the executions."""
    user = publish(size.steps)
    return [start(user, f"p{number}") for number in range(size.executions)]
