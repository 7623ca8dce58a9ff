"""Tables of published workflows; `repository` writes, `selectors` reads."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from common.database.json_field import JsonTextField


class Workflow(models.Model):
    """A workflow; `version` is the current version, the default of starts. 0: only candidates were tried so far.

    `publications` counts the changes of the current version, and is their optimistic lock.
    """

    id = models.CharField(primary_key=True, max_length=63)
    name = models.CharField(max_length=120)
    description = models.TextField()
    step_count = models.PositiveIntegerField()
    version = models.PositiveIntegerField()
    publications = models.PositiveIntegerField(default=1, db_default=1)
    updated_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)  # NULL: executions can be started

    def __str__(self) -> str:
        return self.name


class HouseFile(models.Model):
    """A `.docx` that gives styles, header and footer, stored once per content. Definitions name it by its hash."""

    sha256 = models.CharField(primary_key=True, max_length=64)  # of the bytes, in hex
    bytes = models.BinaryField()

    def __str__(self) -> str:
        return self.sha256[:12]


class WorkflowVersion(models.Model):
    """One published definition, immutable. A candidate is tried in dry runs, is in no list and never current."""

    workflow = models.ForeignKey(
        Workflow, on_delete=models.PROTECT, related_name="versions", db_index=False
    )  # workflow_version_once begins with it
    version = models.PositiveIntegerField()
    definition = JsonTextField()
    content_hash = models.CharField(max_length=64)  # `WorkflowDefinition.content_hash`
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )  # NULL: a command, a deleted user, a candidate, or not recorded
    is_candidate = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workflow", "version"], name="workflow_version_once"),
            models.UniqueConstraint(fields=["workflow", "content_hash", "is_candidate"], name="workflow_content_once"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id} {self.version}"
