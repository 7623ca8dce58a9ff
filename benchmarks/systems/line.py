"""The workload in the product's own terms: a workflow that is a line of steps, and a model that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import JsonValue

from access.services import ensure_user
from benchmarks.meter import Meter
from benchmarks.workload import TEXT, USER, WORKFLOW, Size
from executions import composition
from executions.engine.domain.calls import ModelReply, ModelRequest, ToolCall, Usage
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


class QuietModel:
    """Answers every request with the same document, some time later."""

    def __init__(self, *, seconds: float = 0.0, calls_at_once: int = 1_000_000, meter: Meter | None = None) -> None:
        self._seconds = seconds
        self._free = asyncio.Semaphore(calls_at_once)
        self._meter = meter

    def resolve(self, model: str) -> tuple[str, ...]:
        """Return the model as it is named."""
        return (model,)

    def knows(self, _model: str) -> bool:
        """Know them all."""
        return True

    def estimate(self, _request: ModelRequest) -> Decimal | None:
        """Know no price."""
        return None

    @asynccontextmanager
    async def permit(self, _request: ModelRequest) -> AsyncIterator[UnlimitedPermit]:
        """Let everybody ask."""
        yield UnlimitedPermit()

    async def complete(self, _request: ModelRequest, _heard: OnText) -> ModelReply:
        """Reply."""
        if self._meter is not None and (task := asyncio.current_task()) is not None:
            self._meter.step(task.get_name().partition(" ")[0])  # the runner names it after the execution and the step
        async with self._free:
            if self._seconds:
                await asyncio.sleep(self._seconds)
        return REPLY


def use(model: QuietModel) -> Ports:
    """Have this process ask the model for everything; return its ports."""
    ports = replace(composition.build_ports(), models=model)
    advance.build_ports = lambda: ports  # type: ignore[assignment, attr-defined]
    return ports


def publish(steps: int, *, model: str = "openai:writer") -> User:
    """Publish the workflow; return who starts it."""
    line = [
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
        parse_definition({"id": WORKFLOW, "name": "Line", "description": "A line.", "roles": roles, "steps": line}),
        now=timezone.now(),
    )
    return ensure_user(name=USER)


def start(user: User, name: str) -> UUID:
    """Accept one execution, in a scope of its own."""
    return executions.start_execution(
        user=user, workflow_id=WORKFLOW, scope_type="project", scope_id=name, input="A brief.", now=timezone.now()
    ).id


def start_all(size: Size) -> list[UUID]:
    """Publish the workflow, and accept the executions."""
    user = publish(size.steps)
    return [start(user, f"p{number}") for number in range(size.executions)]
