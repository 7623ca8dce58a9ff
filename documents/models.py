"""Tables of documents; `repository` writes, `selectors` reads."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
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
    """The head of a document, one per scope and type. `version` is the version that counts, and the optimistic lock.

    `root`, `workflow_id` and `author_name` repeat what other rows say, so that one index serves filter and order.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False
    )  # document_once_per_scope_and_type begins with it
    root = models.ForeignKey(
        "access.Scope", on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )  # root of the scope, where roles are assigned; document_of_root begins with it
    type = models.CharField(max_length=63)
    title = models.CharField(max_length=500)
    status = models.CharField(max_length=20, choices=DocumentStatus.choices, default=DocumentStatus.CURRENT)
    version = models.PositiveIntegerField()
    last_version = models.PositiveIntegerField()  # highest number; above `version` if that version is only proposed
    execution_id = models.UUIDField(null=True)  # producer of `version`; NULL: a person
    workflow_id = models.CharField(max_length=63, blank=True, db_default="")  # that produced `version`; empty: a person
    author_name = models.CharField(max_length=150, blank=True, db_default="")  # of `version`; empty: a model
    by_person = models.PositiveIntegerField(db_default=0)  # newest version that a person made the head; 0: none
    stale = models.BooleanField(db_default=False)
    erased_at = models.DateTimeField(null=True)  # NULL: a version is left that was not erased
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    search = SearchVectorField(null=True, editable=False)  # title and content of `version`; NULL: not indexed yet
    search_language = models.CharField(max_length=63, blank=True, db_default="", editable=False)  # of `search`

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "type"], name="document_once_per_scope_and_type"),
            models.CheckConstraint(name="document_status_known", condition=Q(status__in=["current"])),
        ]
        indexes = [
            # Walks of the list, newest first; see selectors.
            models.Index(fields=["-updated_at", "-id"], name="document_newest"),
            models.Index(fields=["-created_at", "-id"], name="document_by_creation"),
            models.Index(fields=["root", "-updated_at", "-id"], name="document_of_root"),
            models.Index(fields=["type", "-updated_at", "-id"], name="document_of_type"),
            models.Index(
                fields=["workflow_id", "-updated_at", "-id"], name="document_of_workflow", condition=~Q(workflow_id="")
            ),
            models.Index(
                fields=["author_name", "-updated_at", "-id"], name="document_of_author", condition=~Q(author_name="")
            ),
            models.Index(fields=["-updated_at", "-id"], name="document_stale", condition=Q(stale=True)),
            models.Index(fields=["-updated_at", "-id"], name="document_unindexed", condition=Q(search__isnull=True)),
            GinIndex(fields=["search"], name="document_search"),
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
    content_hash = models.CharField(max_length=64, db_default="")  # SHA-256 of the canonical JSON
    schema = models.ForeignKey(Schema, on_delete=models.PROTECT, related_name="+")
    execution_id = models.UUIDField(null=True)  # NULL: produced by a person
    step_id = models.CharField(max_length=200, null=True)
    provenance = JsonTextField(default=dict)  # workflow, role, model, attempt, inputs, origin, …
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )  # NULL: a model, or a deleted user
    author_name = models.CharField(max_length=150, blank=True, db_default="")  # empty: a model
    note = models.TextField(blank=True, db_default="")
    base_version = models.PositiveIntegerField(null=True)  # that a person's edit started from
    proposed = models.BooleanField(db_default=False)  # waits for a decision, or was rejected
    created_at = models.DateTimeField()
    erased_at = models.DateTimeField(null=True)  # when title, content and note were erased; NULL: they were not

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "version"], name="document_version_once")]
        # The migration 0012_file_of_versions adds an index of an expression: document_version_file, for erasure.
        indexes = [
            models.Index(fields=["execution_id"], name="document_version_execution"),
            models.Index(fields=["author"], name="document_version_author", condition=Q(author__isnull=False)),
            models.Index(fields=["document"], name="document_version_proposed", condition=Q(proposed=True)),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} {self.version}"


class DocumentComment(models.Model):
    """A person's remark about a passage of one version. `version` is the optimistic lock."""

    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, related_name="comments", db_index=False
    )  # document_comment_once begins with it
    number = models.PositiveIntegerField()  # 1, 2, 3 … in its document
    version = models.PositiveIntegerField(default=1)
    document_version = models.PositiveIntegerField()  # that it was written about
    pointer = models.TextField(blank=True)  # RFC 6901, in that version; empty: the whole document
    quote = models.TextField(blank=True)  # empty: the whole value
    prefix = models.TextField(blank=True)  # the text before the quote
    suffix = models.TextField(blank=True)  # the text after the quote
    start = models.PositiveIntegerField(default=0)  # index of the quote in its text, in characters
    text = models.TextField()
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )  # NULL: a deleted user
    author_name = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)  # NULL: open
    resolved_by_name = models.CharField(max_length=150, blank=True)  # empty: open

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "number"], name="document_comment_once")]

    def __str__(self) -> str:
        return f"{self.document_id} comment {self.number}"


class StoredContent(models.Model):
    """Bytes of files, stored once per content."""

    sha256 = models.CharField(primary_key=True, max_length=64)  # of the bytes, in hex
    bytes = models.BinaryField()
    size = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.sha256[:12]


class File(models.Model):
    """An uploaded file with its text. It never changes, except that its first use gives it a scope."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=255)
    media_type = models.CharField(max_length=100)  # by content
    size = models.PositiveIntegerField()
    content = models.ForeignKey(StoredContent, on_delete=models.PROTECT, related_name="+", db_index=False)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    scope = models.ForeignKey(
        "access.Scope", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )  # a root scope, where the file is used; NULL: not used yet
    uploaded_for = models.ForeignKey(
        "access.Scope", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )  # the scope of the token that it was uploaded with; NULL: the token had none, or there was a session
    title = models.CharField(max_length=300, blank=True)  # from the file's own metadata
    pages = models.PositiveIntegerField(null=True)  # of a PDF
    width = models.PositiveIntegerField(null=True)  # pixels of a picture
    height = models.PositiveIntegerField(null=True)  # pixels of a picture
    encrypted = models.BooleanField(default=False, db_default=False)  # a PDF that opens without a password
    characters = models.PositiveIntegerField()
    segments = JsonTextField()  # anchor, label and text of each, in reading order
    notes = JsonTextField(default=list)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["content"], name="file_of_content"),
            models.Index(fields=["uploaded_by"], name="file_of_user", condition=Q(uploaded_by__isnull=False)),
            models.Index(fields=["scope"], name="file_of_scope", condition=Q(scope__isnull=False)),
            models.Index(fields=["created_at"], name="file_unused", condition=Q(scope__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.name
