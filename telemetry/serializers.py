"""How costs look to clients."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.fields import CommaSeparatedChoiceField, MoneyField, TimestampField, WordField
from common.api.serializers import StrictSerializer
from common.time import parse_datetime, time_zones
from telemetry.selectors import GROUPS

_DRY_RUNS = {"exclude": False, "only": True, "include": None}
UNPRICED = "Calls whose cost is not known: without a known price, without an outcome, or under way."


class TotalsSerializer(serializers.Serializer[Any]):
    """A sum over calls. Token buckets are disjoint; `reasoning_tokens` is a part of `output_tokens`."""

    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField(help_text="Without cached ones.")
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = MoneyField(allow_null=True)
    known_cost_usd = MoneyField()
    cost_complete = serializers.BooleanField(help_text="false: a part of the cost is not known.")
    unpriced_calls = serializers.IntegerField(help_text=UNPRICED)
    cost_final = serializers.BooleanField(help_text="false: a call is under way.")


class GroupSerializer(TotalsSerializer):
    """A sum over the calls that share a value; the value's names stand beside it."""

    executions = serializers.IntegerField()
    day = serializers.DateField(required=False, help_text="Of a group by day.")
    provider = serializers.CharField(required=False, help_text="Of a group by model; empty: nobody has answered.")
    model = serializers.CharField(required=False, help_text="Of a group by model.")
    workflow_id = serializers.CharField(required=False, help_text="Of a group by workflow or step.")
    step_id = serializers.CharField(required=False, help_text="Of a group by step.")
    scope_type = serializers.CharField(required=False, help_text="Of a group by scope.")
    scope_id = serializers.CharField(required=False, help_text="Of a group by scope.")
    user = serializers.CharField(required=False, allow_null=True, help_text="Of a group by user; null: the system.")
    tag = serializers.CharField(required=False, help_text="Of a group by tag.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return key and sum in one object."""
        return {
            **instance.key,
            "executions": instance.executions,
            **TotalsSerializer(instance.totals).data,
        }


class AveragesSerializer(serializers.Serializer[Any]):
    """Means; null where there is nothing to divide by."""

    cost_usd_per_execution = MoneyField(allow_null=True)
    tokens_per_execution = serializers.FloatField(allow_null=True)
    calls_per_execution = serializers.FloatField(allow_null=True)
    latency_ms_per_call = serializers.FloatField(allow_null=True)


class SummaryTotals(TotalsSerializer):
    """The sum over everything."""

    executions = serializers.IntegerField()


class TelemetrySummary(serializers.Serializer[Any]):
    """What was spent in a span of time: `totals`, `averages` and `by_workflow` always, `groups` as asked for."""

    tz = serializers.CharField()
    totals = SummaryTotals()
    averages = AveragesSerializer()
    by_workflow = GroupSerializer(many=True)
    groups = serializers.DictField(child=GroupSerializer(many=True))

    def get_fields(self) -> dict[str, Any]:
        """Add the ends of the span: `from` is no name in Python."""
        return {
            "from": TimestampField(allow_null=True),
            "to": TimestampField(allow_null=True),
            **super().get_fields(),
        }

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the summary; the span's ends are named `from` and `to`."""
        query, summary = instance
        totals = {"executions": summary.executions, **TotalsSerializer(summary.totals).data}
        return {
            "from": _moment(query["since"]),
            "to": _moment(query["until"]),
            "tz": query["tz"].key,
            "totals": totals,
            "averages": AveragesSerializer(summary.averages).data,
            "by_workflow": GroupSerializer(summary.by_workflow, many=True).data,
            "groups": {name: GroupSerializer(rows, many=True).data for name, rows in summary.groups.items()},
        }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else TimestampField().to_representation(value)


@extend_schema_field({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})
class MomentField(serializers.CharField):
    """A time, or a date."""


class GroupsField(CommaSeparatedChoiceField):
    """Names of groups; a wrong one is a fault of the whole."""

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the names, each once.

        Raises:
            ValidationError: one of them is not known.
        """
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"Each is one of: {', '.join(GROUPS)}.") from error


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_+/-]+$", "maxLength": 64})
class ZoneField(serializers.CharField):
    """Name of a time zone."""


class SummaryQuery(StrictSerializer):
    """The span, half-open; a bare date is that day's midnight in `tz`."""

    page_parameters = frozenset()  # one answer, no pages

    to = MomentField(required=False, help_text="RFC 3339 time or date; not included.")
    tz = ZoneField(required=False, default="UTC", help_text="IANA time zone of dates and days.")
    group_by = GroupsField(words=[*GROUPS], required=False, help_text="Groups to sum up by; with commas, or repeated.")
    dry_run = WordField(choices=tuple(_DRY_RUNS), default="exclude", help_text="What becomes of the calls of dry runs.")

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is no name in Python."""
        return {
            "from": MomentField(required=False, help_text="RFC 3339 time or date; included."),
            **super().get_fields(),
        }

    def validate_tz(self, value: str) -> ZoneInfo:
        """Return the zone.

        Raises:
            ValidationError: there is no such zone.
        """
        if value not in time_zones():
            raise serializers.ValidationError("There is no such time zone; one is named as Europe/Berlin or UTC.")
        return ZoneInfo(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the query as the selector takes it.

        Raises:
            ValidationError: a time that is none, or a span that ends before it begins.
        """
        tz = attrs["tz"]
        since, until = (_parse(attrs.get(name), tz, name) for name in ("from", "to"))
        if since and until and until < since:
            raise serializers.ValidationError({"to": "The span ends before it begins."})
        dry_run = _DRY_RUNS[attrs["dry_run"]]
        return {"since": since, "until": until, "tz": tz, "group_by": attrs.get("group_by", []), "dry_run": dry_run}


def _parse(value: str | None, tz: ZoneInfo, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_datetime(value, tz)
    except (ValueError, OverflowError) as error:  # OverflowError: a year that UTC does not have
        raise serializers.ValidationError({name: "Expected an RFC 3339 time or a date."}) from error
