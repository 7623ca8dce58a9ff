"""Serializers of commands on workflows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.serializers import StrictSerializer, TimestampField
from executions.api.serializers import values
from workflows.repository import Publication
from workflows.serializers import MAX_VERSION


class CurrentVersionRequest(StrictSerializer):
    """The version that becomes the current one."""

    version = serializers.IntegerField(min_value=1, max_value=MAX_VERSION)


class DefinitionFault(serializers.Serializer[Any]):
    """A fault of a definition."""

    pointer = serializers.CharField(help_text="RFC 6901 pointer into the definition; empty: all of it.")
    file = serializers.CharField(allow_null=True, help_text="The file of the folder that has the fault.")
    line = serializers.IntegerField(allow_null=True, help_text="From 1; null: the file has no lines.")
    code = serializers.CharField()
    detail = serializers.CharField()


class Advice(serializers.Serializer[Any]):
    """Advice about a valid definition."""

    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ValidationResponse(serializers.Serializer[Any]):
    """The result of a check. Nothing was stored."""

    valid = serializers.BooleanField()
    errors = DefinitionFault(many=True, help_text="The first 100 faults.")  # type: ignore[assignment]
    error_count = serializers.IntegerField(help_text="Number of all faults.")
    advice = Advice(many=True, help_text="What is valid and may surprise; only of a valid definition.")


class StaysResponse(serializers.Serializer[Any]):
    """What a publication leaves as it is, as far as you may see it."""

    executions = serializers.IntegerField(
        help_text="Executions of the workflow that have not ended: they keep their version."
    )
    questions = serializers.IntegerField(help_text="Steps in executions of the workflow whose questions stay open.")


class PublicationResponse(serializers.Serializer[Any]):
    """The result of a publication."""

    id = serializers.CharField()
    name = serializers.CharField()
    version = serializers.IntegerField(help_text="The current version now.")
    outcome = serializers.ChoiceField(
        choices=values(Publication), help_text="`unchanged`: the content is that of the current version."
    )
    previous_version = serializers.IntegerField(
        allow_null=True, help_text="The current version before; null: the workflow is new."
    )
    retired_at = TimestampField(allow_null=True, help_text="Not null: the workflow is retired, and stays so.")
    stays = StaysResponse()
    advice = Advice(many=True)
