"""How workflows look to clients."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import TimestampField


class WorkflowSummary(serializers.Serializer[Any]):
    """One line of the list."""

    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    step_count = serializers.IntegerField()
    version = serializers.IntegerField(help_text="The current version: the one that starts use by default.")


class WorkflowDetails(WorkflowSummary):
    """A workflow with the definition of its current version."""

    id = serializers.CharField(source="workflow.id")
    name = serializers.CharField(source="workflow.name")
    description = serializers.CharField(source="workflow.description")
    step_count = serializers.IntegerField(source="workflow.step_count")
    published_at = TimestampField()
    definition = serializers.JSONField()


class WorkflowVersionSummary(serializers.Serializer[Any]):
    """One line of a workflow's history."""

    version = serializers.IntegerField()
    content_hash = serializers.CharField()
    published_at = TimestampField()
