"""Serializers of tokens and tickets, and the field that says what a caller may do."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.permissions import ACTION_CHOICES
from access.url_secrets import DEFAULT_SECONDS, MAX_SECONDS
from access.user import User
from common.api.serializers import StrictSerializer, TimestampField


def may_field(*, source: str | None = None) -> serializers.ListField:
    """Return the field for what the caller may do now, by role and state."""
    return serializers.ListField(
        child=serializers.ChoiceField(choices=ACTION_CHOICES),
        read_only=True,
        source=source,
        help_text="What you may do now, by your role and the state. Ignore unknown values.",
    )


class TokenRequest(StrictSerializer):
    """Credentials for a token: name and password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)

    def validate_username(self, value: str) -> str:
        """Return the name in Django's normalized form."""
        return User.normalize_username(value)


class TokenResponse(serializers.Serializer[Any]):
    """A new token. The server stores only its hash, so this response is the only one with the token."""

    token = serializers.CharField()
    expires_at = TimestampField(allow_null=True)


class TicketRequest(StrictSerializer):
    """Validity of a ticket in seconds."""

    seconds = serializers.IntegerField(
        min_value=1, max_value=MAX_SECONDS, default=DEFAULT_SECONDS, help_text="Open streams continue after this time."
    )


class TicketResponse(serializers.Serializer[Any]):
    """A ticket for one stream, sent as `?ticket=`. It becomes invalid with the token or session it was issued with."""

    ticket = serializers.CharField()
    expires_at = TimestampField()
