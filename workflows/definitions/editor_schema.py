"""The JSON Schema of a definition, for editors that complete names and mark faults."""

from __future__ import annotations

from functools import cache
from typing import Any

from workflows.definitions.definition import WorkflowDefinition

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FILE = {
    "type": "object",
    "description": "A file of the workflow's folder that has the value.",
    "properties": {"file": {"type": "string", "minLength": 1}},
    "required": ["file"],
    "additionalProperties": False,
}
#: Fields that are mostly in files of their own, by model.
_IN_FILES = {
    "WorkflowDefinition": ("description", "house"),
    "RoleDefinition": ("instructions",),
    "StepDefinition": ("task", "output_schema", "render", "description"),
    "ReviewPolicy": ("rubric",),
    "AcceptancePolicy": ("instructions",),
}
_KEPT = ("title", "description", "default")


@cache
def editor_schema() -> dict[str, Any]:
    """Return the schema of a `workflow.yaml`. It permits `{file: path}` where a text or a schema can be in a file."""
    schema: dict[str, Any] = WorkflowDefinition.model_json_schema()
    models = {**schema["$defs"], WorkflowDefinition.__name__: schema}
    for model, names in _IN_FILES.items():
        properties = models[model]["properties"]
        for name in names:
            properties[name] = _or_file(properties[name])
    schema["$defs"]["File"] = _FILE
    return {"$schema": _DIALECT, "title": "Workflow", **{k: v for k, v in schema.items() if k != "title"}}


def _or_file(field: dict[str, Any]) -> dict[str, Any]:
    kept = {name: field[name] for name in _KEPT if name in field}
    value = {name: inner for name, inner in field.items() if name not in kept}
    choices = value.get("anyOf", [value])
    return {**kept, "anyOf": [*choices, {"$ref": "#/$defs/File"}]}
