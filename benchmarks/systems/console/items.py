"""An execution with a collection: `python -m … ITEMS` publishes its workflow, starts it, and prints its id."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.utils import timezone

from access.services import ensure_user
from executions.services.executions import start_execution
from workflows import publishing
from workflows.definitions.definition import WorkflowDefinition

USER = "viewer"


def definition(items: int) -> WorkflowDefinition:
    """Return a workflow of two steps: a list of parts, and a note about each part."""
    text = {"type": "string", "minLength": 3, "maxLength": 80}
    part = {
        "type": "object",
        "required": ["id", "title"],
        "additionalProperties": False,
        "properties": {"id": {"type": "string", "pattern": "^part-[0-9]{1,4}$"}, "title": text},
    }
    parts = {"type": "array", "minItems": items, "maxItems": items, "items": part}
    each: dict[str, Any] = {"document": "parts", "items": "/parts", "key": "id", "scope_type": "part", "limit": items}
    step = {"role": "writer", "model": "standard"}
    return WorkflowDefinition.model_validate(
        {
            "id": "collection",
            "name": "Collection",
            "description": "A note about each part.",
            "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
            "max_parallel": 8,
            "steps": [
                {**step, "id": "parts", "name": "Parts", "task": "List the parts.", "produces": "parts",
                 "output_schema": _object(title=text, parts=parts)},
                {**step, "id": "note", "name": "Note", "task": "Write a note.", "produces": "note", "for_each": each,
                 "output_schema": _object(title=text, text=text)},
            ],
        }
    )  # fmt: skip


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "additionalProperties": False, "properties": properties}


def start(items: int) -> str:
    """Publish the workflow, start an execution, and return its id."""
    now = timezone.now()
    publishing.publish(definition(items), by=None, now=now)
    started = start_execution(
        user=ensure_user(name=USER, superuser=True),
        workflow_id="collection",
        scope_type="project",
        scope_id="collection",
        input="A ferry with many parts: a hull, a bridge, an engine, and what else there is on it.",
        now=now,
    )
    return str(started.id)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(start(int(sys.argv[1]))))
