"""Serializers of roles and invitations."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.people.invitations import InvitationStatus
from access.permissions import Role
from common.api.serializers import ListedChoiceField, StrictSerializer, TimestampField

_STATUSES = [(each.value, each.name) for each in InvitationStatus]


class RoleRequest(StrictSerializer):
    """A role for a user."""

    role = ListedChoiceField(choices=Role.choices, help_text="Each role includes those before it.")

    def validate_role(self, value: str) -> Role:
        """Return the role."""
        return Role(value)


class RoleResponse(serializers.Serializer[Any]):
    """A user's role in a root scope. It applies to all scopes below."""

    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name", help_text="May be empty.")
    active = serializers.BooleanField(source="user.is_active", help_text="false: the user cannot log in.")
    role = serializers.ChoiceField(choices=Role.choices)
    given_at = TimestampField(source="created_at")


class InvitationRequest(RoleRequest):
    """An invitation: a role, and who may accept it."""

    email = serializers.EmailField(
        required=False, help_text="Only a user with this verified address can accept it. Left out: any user."
    )


class InvitationResponse(serializers.Serializer[Any]):
    """An invitation. Its address is shown only when it is made."""

    id = serializers.UUIDField(source="row.id")
    role = serializers.ChoiceField(choices=Role.choices, source="row.role")
    email = serializers.SerializerMethodField(help_text="null: any user can accept it.")
    status = serializers.ChoiceField(
        choices=_STATUSES, help_text="withdrawn: also if the inviter is no owner any more. Only open ones count."
    )
    invited_by = serializers.SerializerMethodField(help_text="User name; null: a deleted user.")
    created_at = TimestampField(source="row.created_at")
    expires_at = TimestampField(source="row.expires_at")
    accepted_at = TimestampField(source="row.accepted_at", allow_null=True)
    accepted_by = serializers.SerializerMethodField(help_text="User name; null: not accepted, or a deleted user.")

    def get_email(self, found: Any) -> str | None:
        """Return the address; None for any user."""
        return found.row.email or None

    def get_invited_by(self, found: Any) -> str | None:
        """Return the inviter's name."""
        return None if found.row.invited_by is None else found.row.invited_by.get_username()

    def get_accepted_by(self, found: Any) -> str | None:
        """Return the name of the user who has accepted it."""
        return None if found.row.accepted_by is None else found.row.accepted_by.get_username()


class NewInvitationResponse(serializers.Serializer[Any]):
    """A new invitation. The server stores only a hash of its token, so this response is the only one with the link."""

    id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=Role.choices)
    expires_at = TimestampField()
    url = serializers.CharField(help_text="Link for the invited person. It is a secret, and works once.")


class AcceptInvitationRequest(StrictSerializer):
    """The token of an invitation: the last part of its link."""

    token = serializers.CharField(max_length=200)


class AcceptedInvitationResponse(serializers.Serializer[Any]):
    """The scope, and the caller's role in it."""

    scope_type = serializers.CharField(source="scope.type")
    scope_id = serializers.CharField(source="scope.key")
    role = serializers.ChoiceField(choices=Role.choices, help_text="The higher one, if the caller had a role already.")
