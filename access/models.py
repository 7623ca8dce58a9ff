"""Tables of scopes, roles, invitations, tokens, sessions, idempotency, password attempts and the audit log.

`services` and `people` write, `selectors` reads; `audit` does both for the log.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from access.permissions import Role
from access.user import User as User  # Django looks for models in this module
from common.database.json_field import JsonTextField


class Scope(models.Model):
    """A container of documents, such as a project, an epic or a story. Immutable."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", db_index=False
    )  # scope_once_per_parent begins with it
    root = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")  # NULL: a root scope
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
        indexes = [  # selectors.named_scope_ids
            models.Index(fields=["type", "key"], name="scope_by_type_and_key"),
            models.Index(fields=["key"], name="scope_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.type}/{self.key}"


class ScopeRole(models.Model):
    """A user's role in a root scope. Never updated: a new row replaces the old one."""

    scope = models.ForeignKey(
        Scope, on_delete=models.CASCADE, related_name="roles", limit_choices_to={"parent": None}, db_index=False
    )  # scope_role_once_per_user begins with it
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope_roles")
    role = models.CharField(max_length=20, choices=Role.choices)
    by_group = models.BooleanField(default=False, db_default=False)  # given, and taken, by single sign-on
    #: Of a role by a group: the lower role that a person gave, which stays when the group's is taken. Empty: none.
    by_hand = models.CharField(max_length=20, choices=Role.choices, blank=True, default="", db_default="")
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
        """Check that the scope is a root.

        Raises:
            ValidationError: it is not a root; a role there would have no effect.
        """
        scope: Scope | None = getattr(self, "scope", None)  # the form reports a missing scope
        if scope is not None and scope.root is not None:
            raise ValidationError(f"Roles are given in the root scope, {scope.root}, and apply to all scopes below it.")


class Invitation(models.Model):
    """An offer of a role in a root scope, which one user can accept once, with a secret token."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.ForeignKey(
        Scope, on_delete=models.CASCADE, related_name="+", db_index=False
    )  # invitation_of_scope begins with it
    role = models.CharField(max_length=20, choices=Role.choices)
    email = models.EmailField(blank=True)  # whose verified owner may accept it; empty: any user
    token_hash = models.CharField(max_length=64, unique=True)  # SHA-256 of the token, hexadecimal
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)  # invitations.remove_old
    accepted_at = models.DateTimeField(null=True)  # NULL: not accepted
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)  # NULL: not withdrawn

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="invitation_role_known", condition=Q(role__in=["viewer", "reviewer", "operator", "owner"])
            ),
            models.CheckConstraint(
                name="invitation_ends_once", condition=Q(accepted_at__isnull=True) | Q(withdrawn_at__isnull=True)
            ),
        ]
        indexes = [models.Index(fields=["scope", "-id"], name="invitation_of_scope")]

    def __str__(self) -> str:
        return f"{self.role} of {self.scope_id}"


class ExternalAccount(models.Model):
    """A person at a provider of single sign-on, and the user that the person logs in as."""

    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="external_accounts")
    rights_by_group = ArrayField(models.CharField(max_length=20), default=list, blank=True)  # that it may take again
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="external_account_once")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"


class Token(models.Model):
    """A token: a row of the table of knox, with columns of ours. Only its hash is stored. Its rights never change.

    A migration adds the columns with defaults: a token that another program inserts has all rights.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    digest = models.CharField(max_length=128, unique=True)
    token_key = models.CharField(max_length=25)  # the beginning of the token
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)  # empty: made with a password, or by a command
    rights: models.Field[list[str], list[str]] = ArrayField(models.CharField(max_length=20))
    scope = models.ForeignKey(Scope, null=True, on_delete=models.CASCADE, related_name="+")  # a root; NULL: all scopes
    created = models.DateTimeField()
    expiry = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)  # exact to about a minute

    class Meta:
        managed = False
        db_table = "knox_authtoken"

    def __str__(self) -> str:
        return str(self.id)


class KeptAnswer(models.Model):
    """The response to a request with an `Idempotency-Key`, stored in the transaction of the request's effects."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )  # answer_once_per_key begins with it
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=500)  # without a trailing slash
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)  # SHA-256 of the normalized body, hexadecimal
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    answer = JsonTextField()
    kept_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "method", "path", "key"], name="answer_once_per_key"),
        ]
        # The migration 0011_ids_in_answers adds an index of an expression: answer_ids, for services.forget_answers.
        indexes = [models.Index(fields=["kept_at"], name="answer_kept_at")]  # services.remove_old_answers

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.key}"


class SessionName(models.Model):
    """A public name of a session, whose key is secret. Deleted with the session."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Without a database constraint, so that administrators can clear the table of sessions.
    session = models.OneToOneField(Session, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    user = models.ForeignKey(  # NULL: written by an older version
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return str(self.id)


class PasswordTries(models.Model):
    """Password attempts in a time window: per network, or per network and name."""

    key = models.CharField(max_length=64, primary_key=True)  # keyed hash, which hides the address and the name
    count = models.IntegerField()
    began_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class AuditEntry(models.Model):
    """One act. Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE.

    It holds ids, versions and addresses. It has no foreign keys, so a row stays as it is when a person is erased.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    act = models.CharField(max_length=40)  # audit.acts.Act
    via = models.CharField(max_length=10)  # audit.acts.Via
    user_id = models.BigIntegerField(null=True)  # NULL: a command, or a login that failed
    token = models.CharField(max_length=64, blank=True)  # public name
    session = models.UUIDField(null=True)  # public name
    address = models.CharField(max_length=64, blank=True)  # an IPv4 address, or the /64 of an IPv6 address
    request_id = models.CharField(max_length=64, blank=True)
    subject_kind = models.CharField(max_length=80)
    subject_id = models.CharField(max_length=200, blank=True)
    part = models.CharField(max_length=200, blank=True)
    root_id = models.UUIDField(null=True)
    version = models.IntegerField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="audit_act_is_a_name", condition=Q(act__regex=r"^[a-z_]+(\.[a-z_]+)?$")),
            models.CheckConstraint(
                name="audit_kind_is_a_name", condition=Q(subject_kind__regex=r"^[a-z_]+(\.[a-z_]+)?$")
            ),
        ]
        indexes = [  # each is a keyset
            models.Index(fields=["at", "id"], name="audit_by_time"),
            models.Index(fields=["user_id", "at", "id"], name="audit_by_user"),
            models.Index(fields=["root_id", "at", "id"], name="audit_by_scope"),
            models.Index(fields=["subject_id", "at", "id"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject_kind} {self.subject_id}".rstrip()
