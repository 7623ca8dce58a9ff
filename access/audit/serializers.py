"""Serializers of the audit log."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from access.audit.acts import Act, Via
from common.api.serializers import CommaSeparatedChoiceField, ListedChoiceField, StrictSerializer, TimestampField

_ACTS = [each.value for each in Act]


class AuditFilters(StrictSerializer):
    """Filters of the audit log."""

    user = serializers.CharField(required=False, max_length=150, help_text="Name of the user who acted.")
    user_id = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Id of the user; finds erased users too."
    )
    act = CommaSeparatedChoiceField(choices=_ACTS, required=False, help_text="Acts, separated by commas.")
    subject = serializers.CharField(required=False, max_length=200, help_text="Id of what was acted upon.")
    scope_type = serializers.CharField(required=False, max_length=63, help_text="With `scope_id`.")
    scope_id = serializers.CharField(required=False, max_length=200, help_text="Key of a root scope.")
    format = ListedChoiceField(choices=["json", "csv"], required=False, help_text="Like a media type in `Accept`.")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, with one whose name is a word of Python."""
        since = serializers.DateTimeField(required=False, source="since", help_text="RFC 3339; included.")
        until = serializers.DateTimeField(required=False, source="until", help_text="RFC 3339; not included.")
        return {**super().get_fields(), "from": since, "to": until}

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the values without the format.

        Raises:
            ValidationError: one of the two parts of a scope is missing.
        """
        for name, other in (("scope_type", "scope_id"), ("scope_id", "scope_type")):
            if name not in values and other in values:
                raise serializers.ValidationError({name: f"Give it together with {other}."})
        return {name: value for name, value in values.items() if name != "format"}


class AuditEntryResponse(serializers.Serializer[Any]):
    """One act."""

    id = serializers.UUIDField(source="entry.id")
    at = TimestampField(source="entry.at")
    act = serializers.ChoiceField(source="entry.act", choices=_ACTS)
    user_id = serializers.IntegerField(
        source="entry.user_id", allow_null=True, help_text="null: a command, single sign-on, or a failed login."
    )
    user = serializers.CharField(allow_null=True, help_text="The present name; null: without a user, or erased.")
    via = serializers.ChoiceField(source="entry.via", choices=[each.value for each in Via])
    token = serializers.CharField(source="entry.token", allow_blank=True, help_text="Public name of the token.")
    session = serializers.UUIDField(
        source="entry.session", allow_null=True, help_text="Public id of the browser's session."
    )
    address = serializers.CharField(
        source="entry.address", allow_blank=True, help_text="IPv4 address, or /64 of an IPv6 address."
    )
    request_id = serializers.CharField(source="entry.request_id", allow_blank=True, help_text="`X-Request-ID`.")
    subject_kind = serializers.CharField(source="entry.subject_kind", help_text="Such as `execution`.")
    subject_id = serializers.CharField(source="entry.subject_id", allow_blank=True)
    part = serializers.CharField(
        source="entry.part",
        allow_blank=True,
        help_text="A step, the number of a comment, a role, or a right with `+` or `-`.",
    )
    version = serializers.IntegerField(
        source="entry.version", allow_null=True, help_text="After the act, or that the act is about."
    )
    scope_type = serializers.CharField(source="scope.type", default=None, allow_null=True)
    scope_id = serializers.CharField(source="scope.key", default=None, allow_null=True)
