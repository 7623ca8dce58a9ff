"""Serializers of a user's own account."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.permissions import Right
from common.api.serializers import ListedChoiceField, StrictSerializer, TimestampField
from common.names import NameField

_RIGHTS = [(each.value, each.name) for each in Right]
_ROLES = ["viewer", "reviewer", "operator", "owner"]
_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*\Z"


class OwnRoleResponse(serializers.Serializer[Any]):
    """A role in a root scope."""

    scope_type = serializers.CharField(source="scope.type")
    scope_id = serializers.CharField(source="scope.key", help_text="Key of the scope.")
    role = serializers.ChoiceField(choices=_ROLES)


class AccountResponse(serializers.Serializer[Any]):
    """A user, and what the token or session of this request may do."""

    username = serializers.CharField(source="user.username")
    name = serializers.SerializerMethodField(help_text="The full name; empty without one.")
    email = serializers.CharField(source="user.email", allow_blank=True)
    language = serializers.CharField(source="user.language", help_text="Language tag (BCP 47).")
    time_zone = serializers.CharField(source="user.time_zone", help_text="Name in the IANA time zone database.")
    is_staff = serializers.BooleanField(source="user.is_staff")
    is_author = serializers.BooleanField(source="user.is_author", help_text="Staff may publish workflows, too.")
    rights = serializers.ListField(
        child=serializers.ChoiceField(choices=_RIGHTS),
        help_text="Of this token or session; `author` only for authors.",
    )
    scope_type = serializers.CharField(
        source="scope.type", default=None, allow_null=True, help_text="Of the only scope that this token reaches."
    )
    scope_id = serializers.CharField(
        source="scope.key", default=None, allow_null=True, help_text="Key of that scope; null: all of your scopes."
    )
    roles = OwnRoleResponse(many=True, help_text="Of root scopes, at most 200, in the order of type and key.")
    roles_complete = serializers.BooleanField(help_text="false: you have more roles, or this token may not read them.")

    def get_name(self, account: Any) -> str:
        """Return the full name."""
        return str(account.user.get_full_name())


class ProfileRequest(StrictSerializer):
    """What to change of your account; what is left out stays."""

    name = NameField(max_length=150, required=False, allow_blank=True)
    language = serializers.CharField(max_length=35, required=False, help_text="Language tag (BCP 47), such as pt-BR.")
    time_zone = serializers.CharField(
        max_length=64, required=False, help_text="Name in the IANA time zone database, such as Europe/Berlin."
    )


class PasswordRequest(StrictSerializer):
    """The old password and the new one."""

    old_password = serializers.CharField(max_length=4096, trim_whitespace=False)
    new_password = serializers.CharField(max_length=4096, trim_whitespace=False)


class NewTokenRequest(StrictSerializer):
    """The name and the limits of a new token."""

    name = NameField(max_length=100, help_text="For people, such as the program that uses it.")
    rights = serializers.ListField(
        child=ListedChoiceField(choices=_RIGHTS), allow_empty=False, max_length=20, default=lambda: [Right.READ.value]
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="At most `TOKEN_TTL_DAYS` ahead, which is the default."
    )
    scope_type = serializers.RegexField(
        _SLUG, max_length=63, required=False, help_text="With scope_id: the only root scope that the token reaches."
    )
    scope_id = NameField(max_length=200, required=False, help_text="Key of that scope.")

    def validate_rights(self, value: list[str]) -> list[Right]:
        """Return the rights, each once."""
        return [each for each in Right if each in value]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the values.

        Raises:
            ValidationError: the scope is named by a half.
        """
        if len(missing := {"scope_type", "scope_id"} - attrs.keys()) == 1:
            raise serializers.ValidationError(dict.fromkeys(missing, "Name the scope by its type and its key."))
        return attrs


class OwnTokenResponse(serializers.Serializer[Any]):
    """A token, without its text."""

    id = serializers.UUIDField()
    name = serializers.CharField(allow_blank=True, help_text="Empty: made with a password, or by a command.")
    rights = serializers.ListField(child=serializers.ChoiceField(choices=_RIGHTS))
    scope_type = serializers.CharField(source="scope.type", default=None, allow_null=True, help_text="null: all.")
    scope_id = serializers.CharField(source="scope.key", default=None, allow_null=True, help_text="null: all.")
    created_at = TimestampField(source="created")
    expires_at = TimestampField(source="expiry", allow_null=True)
    last_used_at = TimestampField(allow_null=True, help_text="Exact to about a minute; null: not used yet.")


class NewTokenResponse(OwnTokenResponse):
    """A new token. The server stores only its hash, so this response is the only one with its text."""

    token = serializers.CharField()


class OwnSessionResponse(serializers.Serializer[Any]):
    """A login of a browser."""

    id = serializers.UUIDField()
    created_at = TimestampField()
    expires_at = TimestampField(source="session.expire_date")
    current = serializers.BooleanField(help_text="Whether this request uses it.")
