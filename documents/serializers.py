"""How documents look to clients."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.api.fields import ListedChoiceField, TimestampField
from common.api.serializers import StrictSerializer
from common.names import NameField
from documents.selectors import DocumentStatus


class DocumentFilters(StrictSerializer):
    """What the list can be narrowed to."""

    scope_type = serializers.CharField(required=False, help_text="Kind of the scope.")
    scope_id = NameField(required=False, help_text="Key of the scope.")
    type = serializers.CharField(required=False, help_text="Type of document, as a step `produces` it.")
    status = ListedChoiceField(
        choices=DocumentStatus.choices, required=False, help_text="current: its newest version is in force."
    )
    execution_id = serializers.UUIDField(required=False, help_text="That made any version of it.")
    q = serializers.CharField(required=False, max_length=500, help_text="Full text of title and content.")


class DocumentSummary(serializers.Serializer[Any]):
    """One line of the list."""

    id = serializers.UUIDField()
    type = serializers.CharField()
    title = serializers.CharField()
    version = serializers.IntegerField(help_text="The newest version.")
    status = serializers.ChoiceField(choices=DocumentStatus.choices)
    updated_at = TimestampField()
    scope_type = serializers.CharField(source="scope.type")
    scope_id = serializers.CharField(source="scope.key")
    execution_id = serializers.UUIDField(allow_null=True)
    rehearsal = serializers.BooleanField(help_text="true: written by the rehearsal model, not by a real one.")


class DocumentVersionSummary(serializers.Serializer[Any]):
    """One line of a document's history."""

    version = serializers.IntegerField()
    title = serializers.CharField()
    created_at = TimestampField()
    execution_id = serializers.UUIDField(allow_null=True)
    step_id = serializers.CharField(allow_null=True)
    schema_hash = serializers.CharField(source="schema_id")
    rehearsal = serializers.BooleanField(source="provenance.rehearsal", default=False)
    provenance = serializers.JSONField()


class DocumentDetails(DocumentVersionSummary):
    """A document with the content of one version."""

    id = serializers.UUIDField(source="document_id")
    type = serializers.CharField(source="document.type")
    status = serializers.ChoiceField(source="document.status", choices=DocumentStatus.choices)
    updated_at = TimestampField(source="document.updated_at")
    scope_type = serializers.CharField(source="document.scope.type")
    scope_id = serializers.CharField(source="document.scope.key")
    content = serializers.JSONField()
