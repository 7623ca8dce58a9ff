"""Serializers of workflows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.serializers import StrictSerializer, TimestampField
from documents.comparison.diff import ChangeKind

MAX_VERSION = 999_999_999
_KINDS = [(kind.value, kind.name) for kind in ChangeKind]


class WorkflowFilters(StrictSerializer):
    """Filters of the list of workflows."""

    retired = serializers.BooleanField(default=False, help_text="true: with the retired workflows.")


class VersionFilter(StrictSerializer):
    """A version of a workflow."""

    page_parameters = frozenset()
    version = serializers.IntegerField(
        min_value=1, max_value=MAX_VERSION, required=False, help_text="The current version by default."
    )


class WorkflowDiffFilters(StrictSerializer):
    """The two versions to compare."""

    page_parameters = frozenset()

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; `from` is a keyword of Python."""
        earlier = "The earlier version; by default the one before `to`."
        later = "The later version; by default the current one."
        return {
            name: serializers.IntegerField(min_value=1, max_value=MAX_VERSION, required=False, help_text=text)
            for name, text in (("from", earlier), ("to", later))
        }


class WorkflowSummary(serializers.Serializer[Any]):
    """A workflow in lists."""

    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    step_count = serializers.IntegerField()
    version = serializers.IntegerField(help_text="The current version, which is the default of starts.")
    retired_at = TimestampField(allow_null=True, help_text="null: executions can be started.")


class WorkflowDetails(WorkflowSummary):
    """A workflow with the definition of its current version."""

    id = serializers.CharField(source="workflow.id")
    name = serializers.CharField(source="workflow.name")
    description = serializers.CharField(source="workflow.description")
    step_count = serializers.IntegerField(source="workflow.step_count")
    retired_at = TimestampField(
        source="workflow.retired_at", allow_null=True, help_text="null: executions can be started."
    )
    published_at = TimestampField()
    definition = serializers.JSONField()


class WorkflowVersionSummary(serializers.Serializer[Any]):
    """A version of a workflow in lists."""

    version = serializers.IntegerField()
    content_hash = serializers.CharField()
    published_at = TimestampField()
    published_by = serializers.CharField(
        source="publisher", allow_null=True, help_text="User who published it; null: a command, or not recorded."
    )


class WorkflowVersionDetails(WorkflowVersionSummary):
    """A version of a workflow with its definition."""

    workflow_id = serializers.CharField()
    current = serializers.SerializerMethodField(help_text="Whether it is the default of starts.")
    definition = serializers.JSONField()

    def get_current(self, row: Any) -> bool:
        """Return whether the version is the current one."""
        return bool(row.version == row.workflow.version)


class FieldChange(serializers.Serializer[Any]):
    """A change within a field of a workflow, a step or a role."""

    field = serializers.CharField()
    kind = serializers.ChoiceField(
        choices=[*_KINDS, ("reordered", "REORDERED")], help_text="reordered: only the order of names is another one."
    )
    pointer = serializers.CharField(allow_null=True, help_text="In the later version; null: it is not there.")
    pointer_before = serializers.CharField(allow_null=True, help_text="In the earlier version; null: it is not there.")
    before = serializers.JSONField(required=False, help_text="Left out for what was added.")
    after = serializers.JSONField(required=False, help_text="Left out for what was removed.")
    words = serializers.ListField(
        child=serializers.DictField(child=serializers.CharField()),
        required=False,
        help_text="Of a changed text: runs with `op` (equal, insert, delete) and `text`.",
    )
    index_before = serializers.IntegerField(required=False, help_text="Only of an item that moved.")
    index = serializers.IntegerField(required=False, help_text="Only of an item that moved.")


class PartChange(serializers.Serializer[Any]):
    """A step or a role that differs."""

    kind = serializers.ChoiceField(choices=_KINDS)
    id = serializers.CharField()
    name = serializers.CharField()
    changes = FieldChange(many=True, help_text="What changed in it; empty if it was added or removed.")


class WorkflowDiffResponse(serializers.Serializer[Any]):
    """What differs between two versions of a workflow."""

    workflow_id = serializers.CharField()
    to = serializers.IntegerField()
    changes = FieldChange(many=True, help_text="Of the workflow itself.")
    steps = PartChange(many=True)
    roles = PartChange(many=True)
    is_reordered = serializers.BooleanField(help_text="Whether the steps of both versions stand in another order.")

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword of Python."""
        earlier = serializers.IntegerField(allow_null=True, help_text="null: there is no earlier version.")
        fields = super().get_fields()
        return {"workflow_id": fields.pop("workflow_id"), "from": earlier, **fields}


class GraphNode(serializers.Serializer[Any]):
    """A step in the graph of a workflow."""

    id = serializers.CharField()
    name = serializers.CharField()
    role = serializers.CharField()
    produces = serializers.CharField(help_text="Type of its document.")
    model = serializers.CharField(help_text="As the definition names it.")
    level = serializers.IntegerField(help_text="0: it needs no other step.")
    for_each = serializers.CharField(
        allow_null=True, help_text="The document whose items it runs for; null: it runs once."
    )
    asks = serializers.BooleanField(help_text="Whether it may ask people.")
    reviewed = serializers.BooleanField(help_text="Whether a model reviews its document.")
    accepted = serializers.BooleanField(help_text="Whether a person decides about its document.")


class GraphEdge(serializers.Serializer[Any]):
    """A document that a step reads."""

    from_step = serializers.CharField(allow_null=True, help_text="null: the scope has the document before the start.")
    to_step = serializers.CharField()
    document = serializers.CharField()
    for_each = serializers.BooleanField(help_text="Whether the step runs once for each item of a collection in it.")


class WorkflowGraphResponse(serializers.Serializer[Any]):
    """The graph of a workflow."""

    nodes = GraphNode(many=True)
    levels = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        help_text="Steps that do not depend on each other, level by level.",
    )
    edges = GraphEdge(many=True)
