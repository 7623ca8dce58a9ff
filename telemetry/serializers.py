"""Serializers of costs and usage."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.serializers import (
    CommaSeparatedChoiceField,
    ListedChoiceField,
    MoneyField,
    StrictSerializer,
    TimestampField,
    represent,
    represent_all,
)
from common.time import parse_datetime, time_zones
from telemetry.breakdown import ExecutionShare
from telemetry.selectors import GROUPS, Totals

_DRY_RUNS = {"exclude": False, "only": True, "include": None}
_FILTERS = ("workflow_id", "scope_type", "scope_id", "model", "tag")  # by the names of the selector
UNPRICED = "Calls with an unknown cost: without a known price, without a result, or in progress."


class TotalsSerializer(serializers.Serializer[Any]):
    """Sum over calls. Token buckets are disjoint; `reasoning_tokens` is a part of `output_tokens`."""

    calls = serializers.IntegerField()
    input_tokens = serializers.IntegerField(help_text="Without cached tokens.")
    cache_read_input_tokens = serializers.IntegerField()
    cache_write_input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = MoneyField(allow_null=True)
    known_cost_usd = MoneyField()
    cost_complete = serializers.BooleanField(help_text="false: a part of the cost is unknown.")
    unpriced_calls = serializers.IntegerField(help_text=UNPRICED)
    cost_final = serializers.BooleanField(help_text="false: a call is in progress.")


class GroupSerializer(TotalsSerializer):
    """Sum over the calls that share a value, with the fields of that value."""

    executions = serializers.IntegerField()
    day = serializers.DateField(required=False, help_text="Only in groups by day.")
    provider = serializers.CharField(
        required=False, help_text="Only in groups by model; empty: no provider has replied."
    )
    model = serializers.CharField(required=False, help_text="Only in groups by model.")
    workflow_id = serializers.CharField(required=False, help_text="Only in groups by workflow or step.")
    step_id = serializers.CharField(required=False, help_text="Only in groups by step.")
    scope_type = serializers.CharField(required=False, help_text="Only in groups by scope.")
    scope_id = serializers.CharField(required=False, help_text="Only in groups by scope.")
    user = serializers.CharField(required=False, allow_null=True, help_text="Only in groups by user; null: the system.")
    tag = serializers.CharField(required=False, help_text="Only in groups by tag.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the group's value and sum in one object."""
        return {**instance.key, "executions": instance.executions, **_shown_totals(instance.totals)}


def _shown_totals(totals: Totals) -> dict[str, object]:
    """Return what `TotalsSerializer` does, in a tenth of the time: an answer may have thousands of groups."""
    known, is_complete = f"{totals.known_cost_usd:.10f}", totals.cost_complete
    return {
        "calls": totals.calls,
        "input_tokens": totals.input_tokens,
        "cache_read_input_tokens": totals.cache_read_input_tokens,
        "cache_write_input_tokens": totals.cache_write_input_tokens,
        "output_tokens": totals.output_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "total_tokens": totals.total_tokens,
        "cost_usd": known if is_complete else None,
        "known_cost_usd": known,
        "cost_complete": is_complete,
        "unpriced_calls": totals.unpriced_calls,
        "cost_final": totals.cost_final,
    }


class AveragesSerializer(serializers.Serializer[Any]):
    """Averages; null without executions or calls."""

    cost_usd_per_execution = MoneyField(allow_null=True)
    tokens_per_execution = serializers.FloatField(allow_null=True)
    calls_per_execution = serializers.FloatField(allow_null=True)
    latency_ms_per_call = serializers.FloatField(allow_null=True)


class SummaryTotals(TotalsSerializer):
    """Sum over all calls."""

    executions = serializers.IntegerField()


class TelemetrySummary(serializers.Serializer[Any]):
    """Usage and cost in a time range: always `totals`, `averages` and `by_workflow`; `groups` on request."""

    tz = serializers.CharField()
    totals = SummaryTotals()
    averages = AveragesSerializer()
    by_workflow = GroupSerializer(many=True)
    groups = serializers.DictField(child=GroupSerializer(many=True))
    cross = GroupSerializer(many=True, required=False, help_text="Only with `cross`: rows by day and the other name.")

    def get_fields(self) -> dict[str, Any]:
        """Add `from` and `to`; `from` is a keyword of Python."""
        return {
            "from": TimestampField(allow_null=True),
            "to": TimestampField(allow_null=True),
            **super().get_fields(),
        }

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the summary with the ends of the time range as `from` and `to`."""
        query, summary = instance
        totals = {"executions": summary.executions, **represent(TotalsSerializer, summary.totals)}
        cross = {} if summary.cross is None else {"cross": represent_all(GroupSerializer, summary.cross)}
        return {
            "from": _format_time(query["since"]),
            "to": _format_time(query["until"]),
            "tz": query["tz"].key,
            "totals": totals,
            "averages": represent(AveragesSerializer, summary.averages),
            "by_workflow": represent_all(GroupSerializer, summary.by_workflow),
            "groups": {name: represent_all(GroupSerializer, rows) for name, rows in summary.groups.items()},
            **cross,
        }


def csv_table(shown: Mapping[str, Any], cross: str | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return columns and rows of a summary as one table: the total, then the groups, or the workflows without any.

    The column `group` names the grouping of a row.
    """
    tables = {**shown["groups"], **({f"day,{cross}": shown["cross"]} if cross else {})}
    tables = tables or {"workflow": shown["by_workflow"]}
    rows = [{"group": "total", **shown["totals"]}]
    rows += [{"group": name, **row} for name, found in tables.items() for row in found]
    keys = dict.fromkeys(key for name in tables for part in name.split(",") for key in GROUPS[part][1])
    columns = ["group", *keys, *SummaryTotals().fields]
    return columns, [{name: _csv_value(row.get(name)) for name in columns} for row in rows]


def _csv_value(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _format_time(value: datetime | None) -> str | None:
    return None if value is None else TimestampField().to_representation(value)


@extend_schema_field({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})
class TimeOrDateField(serializers.CharField):
    """A time, or a date."""


class GroupsField(CommaSeparatedChoiceField):
    """Names of groupings, with one error for the whole list."""

    def to_internal_value(self, data: Any) -> list[str]:
        """Return the names without duplicates.

        Raises:
            ValidationError: a name is unknown.
        """
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(f"Valid values are: {', '.join(GROUPS)}.") from error


_CROSSED = [name for name in GROUPS if name != "day"]


@extend_schema_field({"type": "string", "enum": [f"day,{name}" for name in _CROSSED]})
class CrossField(serializers.CharField):
    """Two groupings, of which one is `day`; its value is the other one."""

    def to_internal_value(self, data: Any) -> str:
        """Return the grouping besides `day`.

        Raises:
            ValidationError: it is no such pair.
        """
        names = [name.strip() for name in super().to_internal_value(data).split(",")]
        if len(names) == 2 and "day" in names:
            names.remove("day")
            if names[0] in _CROSSED:
                return names[0]
        raise serializers.ValidationError(f"Expected day and one of: {', '.join(_CROSSED)}.")


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9_+/-]+$", "maxLength": 64})
class ZoneField(serializers.CharField):
    """Name of an IANA time zone."""


@extend_schema_field({"type": "string", "pattern": "^[^:]*:", "example": "openai:gpt-5-mini"})
class ModelNameField(serializers.CharField):
    """Provider and model as in groups by model, with a colon between them."""

    def to_internal_value(self, data: Any) -> Any:
        """Return provider and model.

        Raises:
            ValidationError: there is no colon.
        """
        provider, colon, model = super().to_internal_value(data).partition(":")
        if not colon:
            raise serializers.ValidationError("Expected a provider and a model, such as openai:gpt-5-mini.")
        return provider, model


class CallsQuery(StrictSerializer):
    """Which calls are meant. The time range is half-open; a date means its midnight in `tz`."""

    to = TimeOrDateField(required=False, help_text="RFC 3339 time or date; exclusive.")
    tz = ZoneField(required=False, default="UTC", help_text="IANA time zone of dates and of groups by day.")
    dry_run = ListedChoiceField(
        choices=tuple(_DRY_RUNS), default="exclude", help_text="What becomes of the calls of dry runs."
    )
    workflow_id = serializers.CharField(required=False, help_text="Slug of the workflow.")
    scope_type = serializers.CharField(required=False, help_text="Type of the root scope.")
    scope_id = serializers.CharField(required=False, help_text="Key of the root scope.")
    user = serializers.CharField(required=False, help_text="Name of the user who started the execution.")
    model = ModelNameField(
        required=False, help_text="`provider:model` as in groups by model; `:` selects calls without a reply."
    )
    tag = serializers.CharField(required=False, help_text="One of the execution's tags.")

    def get_fields(self) -> dict[str, Any]:
        """Add `from`, which is a keyword of Python."""
        return {
            "from": TimeOrDateField(required=False, help_text="RFC 3339 time or date; inclusive."),
            **super().get_fields(),
        }

    def validate_tz(self, value: str) -> ZoneInfo:
        """Return the time zone.

        Raises:
            ValidationError: the time zone is unknown.
        """
        if value not in time_zones():
            raise serializers.ValidationError("Unknown time zone; expected an IANA name such as Europe/Berlin or UTC.")
        return ZoneInfo(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the filters of the selector, and the time zone.

        Raises:
            ValidationError: a time is invalid, or the time range ends before it begins.
        """
        tz = attrs["tz"]
        since, until = (_parse(attrs.get(name), tz, name) for name in ("from", "to"))
        if since and until and until < since:
            raise serializers.ValidationError({"to": "The time range ends before it begins."})
        given = {name: attrs[name] for name in _FILTERS if name in attrs}
        if "user" in attrs:
            given["started_by"] = attrs["user"]
        return {"since": since, "until": until, "tz": tz, "dry_run": _DRY_RUNS[attrs["dry_run"]], **given}


class SummaryQuery(CallsQuery):
    """Query of the summary."""

    page_parameters = frozenset()  # no pages

    group_by = GroupsField(choices=[*GROUPS], required=False, help_text="Groupings; comma-separated or repeated.")
    cross = CrossField(
        required=False, help_text="`day` and the name of another grouping: the table of both, such as `day,model`."
    )
    format = ListedChoiceField(choices=["json", "csv"], required=False, help_text="Like a media type in `Accept`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the selector.

        Raises:
            ValidationError: see `CallsQuery`.
        """
        return {**super().validate(attrs), "group_by": attrs.get("group_by", []), "by_day": attrs.get("cross")}


class SharesQuery(CallsQuery):
    """Query of the executions of a sum."""

    cost = ListedChoiceField(
        choices=["any", "unknown"], default="any", help_text="`unknown`: only executions with calls of unknown cost."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of the selector.

        Raises:
            ValidationError: see `CallsQuery`.
        """
        given = super().validate(attrs)
        del given["tz"]
        return {**given, "only_unknown": attrs["cost"] == "unknown"}


class ExecutionShareResponse(TotalsSerializer):
    """What an execution has in a sum: its calls that the query selects."""

    execution_id = serializers.UUIDField()
    workflow_id = serializers.CharField()
    scope_type = serializers.CharField()
    scope_id = serializers.CharField()
    user = serializers.CharField(allow_null=True, help_text="null: the system.")
    first_call_at = TimestampField()
    max_unknown_cost_usd = MoneyField(
        allow_null=True,
        help_text="Max cost of the calls with an unknown cost; null: the model of such a call has no known price.",
    )

    def to_representation(self, instance: ExecutionShare) -> dict[str, Any]:
        """Return the execution with its sum in one object."""
        scope_type, scope_id = instance.scope
        most = instance.max_unknown_cost_usd
        return {
            "execution_id": str(instance.execution_id),
            "workflow_id": instance.workflow_id,
            "scope_type": scope_type,
            "scope_id": scope_id,
            "user": instance.user,
            "first_call_at": TimestampField().to_representation(instance.first_call_at),
            **_shown_totals(instance.totals),
            "max_unknown_cost_usd": None if most is None else f"{most:.10f}",
        }


def _parse(value: str | None, tz: ZoneInfo, name: str) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_datetime(value, tz)
    except (ValueError, OverflowError) as error:  # OverflowError: the time in UTC is outside of the supported years
        raise serializers.ValidationError({name: "Expected an RFC 3339 time or a date."}) from error
