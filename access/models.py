"""Who may do what where. Rows only; `services` writes them, `selectors` reads them."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from access.user import User as User  # Django looks for models in this module
from common.database.json_field import JsonTextField


class Role(models.TextChoices):
    """What a user may do in a root scope and all below it; each includes the ones before it."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"  # also answers and decides
    OPERATOR = "operator"  # also starts, cancels and retries
    OWNER = "owner"  # also gives roles


class Scope(models.Model):
    """A place that documents belong to: a project, an epic, a story. Immutable once made."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", db_index=False
    )  # scope_once_per_parent begins with it
    root = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")  # NULL: it is a root
    type = models.CharField(max_length=63)
    key = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["parent", "type", "key"], name="scope_once_per_parent", nulls_distinct=False
            ),
            models.CheckConstraint(
                name="scope_root_has_no_parent",
                condition=Q(parent__isnull=True, root__isnull=True) | Q(parent__isnull=False, root__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type}/{self.key}"


class ScopeRole(models.Model):
    """A user's role in a root scope. Never updated: a changed role is a new row in place of the old."""

    scope = models.ForeignKey(
        Scope, on_delete=models.CASCADE, related_name="roles", limit_choices_to={"parent": None}, db_index=False
    )  # scope_role_once_per_user begins with it
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope_roles")
    role = models.CharField(max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "user"], name="scope_role_once_per_user"),
            models.CheckConstraint(
                name="scope_role_known", condition=Q(role__in=["viewer", "reviewer", "operator", "owner"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.scope}"

    def clean(self) -> None:
        """Return if the scope is a root.

        Raises:
            ValidationError: it is not; a role there would have no effect.
        """
        scope: Scope | None = getattr(self, "scope", None)  # a form without one says so by itself
        if scope is not None and scope.root is not None:
            raise ValidationError(f"Roles are given in the root scope, {scope.root}, and hold below it.")


class KeptAnswer(models.Model):
    """The first answer to a request with an `Idempotency-Key`, written in the transaction of what it tells of."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )  # answer_once_per_key begins with it
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)  # without the slash that it may end in
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)  # of the request's values: SHA-256, hexadecimal
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    answer = JsonTextField()
    kept_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "method", "path", "key"], name="answer_once_per_key"),
        ]
        indexes = [models.Index(fields=["kept_at"], name="answer_kept_at")]  # services.forget_answers

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"


class SessionName(models.Model):
    """A name for a session that may be told, as its key may not. It goes when the session ends."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a constraint: whoever clears the table of sessions by hand shall not be held up.
    session = models.OneToOneField(Session, on_delete=models.CASCADE, db_constraint=False, related_name="+")

    def __str__(self) -> str:
        return str(self.id)


class PasswordTries(models.Model):
    """How often passwords were tried in a span of time: from a network, or with a name from there."""

    key = models.CharField(max_length=64, primary_key=True)  # a keyed hash: it tells no address and no name
    count = models.IntegerField()
    began_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key
