"""Tables of documents; `repository` writes, `selectors` reads."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from common.database.json_field import JsonTextField


class DocumentStatus(models.TextChoices):
    """Status of a document."""

    CURRENT = "current"  # the newest version is valid


class Schema(models.Model):
    """An output schema that documents were validated against, stored once per content."""

    hash = models.CharField(primary_key=True, max_length=64)  # SHA-256 of the canonical JSON
    content = JsonTextField()

    def __str__(self) -> str:
        return self.hash[:12]


class Document(models.Model):
    """The head of a document, one per scope and type. `version` is the newest version, and the optimistic lock."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )  # document_once_per_scope_and_type begins with it
    type = models.CharField(max_length=63)
    title = models.CharField(max_length=500)
    status = models.CharField(max_length=20, choices=DocumentStatus.choices, default=DocumentStatus.CURRENT)
    version = models.PositiveIntegerField()
    execution_id = models.UUIDField(null=True)  # producer of the newest version; NULL: a person
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "type"], name="document_once_per_scope_and_type"),
            models.CheckConstraint(name="document_status_known", condition=Q(status__in=["current"])),
        ]
        indexes = [
            models.Index(fields=["-updated_at", "-id"], name="document_newest"),  # selectors.documents
            models.Index(fields=["execution_id"], name="document_execution"),  # filter execution_id
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.title}"


class DocumentVersion(models.Model):
    """An immutable version of a document."""

    document = models.ForeignKey(
        Document, on_delete=models.PROTECT, related_name="versions", db_index=False
    )  # document_version_once begins with it
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=500)
    content = JsonTextField()
    schema = models.ForeignKey(Schema, on_delete=models.PROTECT, related_name="+")
    execution_id = models.UUIDField(null=True)  # NULL: produced by a person
    step_id = models.CharField(max_length=200, null=True)
    provenance = JsonTextField(default=dict)  # workflow, role, model, attempt, inputs, rehearsal
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "version"], name="document_version_once")]
        indexes = [models.Index(fields=["execution_id"], name="document_version_execution")]

    def __str__(self) -> str:
        return f"{self.document_id} {self.version}"
