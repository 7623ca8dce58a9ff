"""A workflow with nested collections, and the replies of its model."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from executions.engine.domain.calls import ModelReply, ToolCall
from tests.factories.engine import definition, reply
from workflows.definitions.definition import WorkflowDefinition


def collection(name: str, **item: Any) -> dict[str, Any]:
    """Return the schema of a document with a collection."""
    properties = {"id": {"type": "string"}, "title": {"type": "string"}, **item}
    items = {"type": "object", "required": ["id"], "properties": properties}
    return {
        "type": "object",
        "required": ["title", name],
        "properties": {"title": {"type": "string"}, name: {"type": "array", "items": items}},
    }


def over(document: str, scope_type: str, **more: Any) -> dict[str, Any]:
    """Return how a step goes over a collection that is called as its document is."""
    return {"document": document, "items": f"/{document}", "key": "id", "scope_type": scope_type, **more}


def delivery(*, epic: str = "fail", story: str = "fail", **more: Any) -> WorkflowDefinition:
    """Return epics, a design of each, stories of each, and a test of each story; what a failed item does is said."""
    epics, stories = over("epics", "epic", on_item_failure=epic), over("stories", "story", on_item_failure=story)
    return definition(
        {"id": "epics", "output_schema": collection("epics")},
        {"id": "design", "for_each": epics},
        {"id": "stories", "for_each": epics, "inputs": ["design"], "output_schema": collection("stories")},
        {"id": "test", "for_each": stories, "inputs": ["design"]},
        {"id": "summary", "inputs": ["epics"]},
        **more,
    )


def items(name: str, *keys: str) -> ModelReply:
    """Return a reply that hands in a collection."""
    made: list[JsonValue] = [{"id": key, "title": f"Item {key}"} for key in keys]
    return reply(ToolCall(name="submit_document", arguments={"title": name.title(), name: made}))
