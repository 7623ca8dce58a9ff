"""Forms of this room."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.tickets import DEFAULT_SECONDS, MAX_SECONDS
from access.user import User
from common.api.fields import TimestampField
from common.api.serializers import StrictSerializer


class TokenRequest(StrictSerializer):
    """A user's name and password."""

    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)

    def validate_username(self, value: str) -> str:
        """Return the name in the form in which users are stored."""
        return User.normalize_username(value)


class TokenResponse(serializers.Serializer[Any]):
    """A new token; it is shown here and never again."""

    token = serializers.CharField()
    expires_at = TimestampField(allow_null=True)


class TicketRequest(StrictSerializer):
    """How long a ticket shall be good for."""

    seconds = serializers.IntegerField(
        min_value=1, max_value=MAX_SECONDS, default=DEFAULT_SECONDS, help_text="A stream that is open by then goes on."
    )


class TicketResponse(serializers.Serializer[Any]):
    """A ticket for one stream: give it as `?ticket=`. It falls with the token or the session that it was made with."""

    ticket = serializers.CharField()
    expires_at = TimestampField()
