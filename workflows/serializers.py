"""Serializers of workflows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import TimestampField


class WorkflowSummary(serializers.Serializer[Any]):
    """A workflow in lists."""

    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    step_count = serializers.IntegerField()
    version = serializers.IntegerField(help_text="The current version, which is the default of starts.")


class WorkflowDetails(WorkflowSummary):
    """A workflow with the definition of its current version."""

    id = serializers.CharField(source="workflow.id")
    name = serializers.CharField(source="workflow.name")
    description = serializers.CharField(source="workflow.description")
    step_count = serializers.IntegerField(source="workflow.step_count")
    published_at = TimestampField()
    definition = serializers.JSONField()


class WorkflowVersionSummary(serializers.Serializer[Any]):
    """A version of a workflow in lists."""

    version = serializers.IntegerField()
    content_hash = serializers.CharField()
    published_at = TimestampField()
