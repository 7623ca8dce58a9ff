"""Small definitions."""

from __future__ import annotations

from typing import Any

from workflows.definitions.definition import WorkflowDefinition
from workflows.definitions.parser import parse_definition

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["title"],
    "properties": {"zeta": {"type": "integer"}, "title": {"type": "string"}},
}


def step(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a step that makes `paper-<number>`."""
    return {
        "id": f"step-{number}",
        "name": f"Step {number}",
        "role": "writer",
        "task": "Write.",
        "produces": f"paper-{number}",
        "output_schema": SCHEMA,
        **changes,
    }


def plan(**changes: Any) -> dict[str, Any]:
    """Return the source of a definition."""
    return {
        "id": "note",
        "name": "Note",
        "description": "Writes a note.",
        "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
        "steps": [step()],
        **changes,
    }


def definition(**changes: Any) -> WorkflowDefinition:
    """Return a definition."""
    return parse_definition(plan(**changes))
