"""The terms on which a provider bills a call, beside tokens: tiers, searches, and separately priced features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from executions.llm.usage.counts import reports
from workflows.errors import storable

#: Names of the tier with the standard price. A server may send any one, or no name.
_PLAIN = frozenset({"", "auto", "default", "standard", "on_demand", "none", "unspecified", "traffic_type_unspecified"})
_RENAMED = {"on_demand_priority": "priority", "on_demand_flex": "flex"}  # Google's traffic types that are tiers
_MAX_NAME = 40  # characters of a name that are stored
_SEARCHES = frozenset({"web_search_requests", "num_search_queries", "num_requests"})
_FREE_TOOLS = frozenset({"web_fetch_requests"})  # their results are counted as input tokens
_ANYWHERE = frozenset({"", "global", "not_available"})  # locations with the standard price


class Terms:
    """The billing terms of one call, according to its response."""

    def __init__(self) -> None:
        self._tiers: dict[str, str] = {}  # the last tier by field
        self._searches = 0
        self._unpriced: dict[str, None] = {}  # an ordered set

    def note_tier(self, where: str, name: object) -> None:
        """Record a tier, by the provider's name."""
        if name is not None:
            tier = _short_name(str(name).strip().lower())
            self._tiers[where] = _RENAMED.get(tier, tier)

    def note_searches(self, number: object) -> None:
        """Record the number of web searches so far."""
        if isinstance(number, int) and number > 0:
            self._searches = max(self._searches, int(number))

    def note(self, message: object) -> None:
        """Record the terms in a response or a stream event."""
        if not isinstance(message, dict):
            return
        for holder in (message, message.get("response"), message.get("message")):
            if isinstance(holder, dict):
                self.note_tier("answer", holder.get("service_tier"))
                for tool in _tools(holder.get("tool_usage")):
                    self._note_tool(*tool)
        for _, report in reports(message):
            self._note_report(report)

    def _note_report(self, report: Mapping[str, Any]) -> None:
        for name in ("service_tier", "serviceTier", "trafficType"):
            self.note_tier(name, report.get(name))
        if (speed := report.get("speed")) is not None:
            self._tiers["speed"] = "" if speed == "standard" else _short_name(f"speed={speed}")
        geography = report.get("inference_geo")
        if geography is not None and str(geography) not in _ANYWHERE:
            self._unpriced[_short_name(f"inference_geo={geography}")] = None
        for name in ("num_search_queries", "num_sources_used"):
            self._note_tool(name, report.get(name))
        for tool in _tools(report.get("server_tool_use")):
            self._note_tool(*tool)

    def _note_tool(self, name: str, number: object) -> None:
        if name in _SEARCHES:
            self.note_searches(number)
        elif name not in _FREE_TOOLS and isinstance(number, int | float) and number > 0:
            self._unpriced[_short_name(name)] = None

    def received(self, *, written_1h: int = 0) -> dict[str, JsonValue]:
        """Return the terms in the format of the price list; empty for the standard price.

        Args:
            written_1h: Tokens written to a cache for one hour.
        """
        tiers = sorted({tier for tier in self._tiers.values() if tier not in _PLAIN})
        terms: dict[str, JsonValue] = {
            "tiers": [*tiers],
            "cache_write_1h": written_1h,
            "searches": self._searches,
            "unpriced": [*self._unpriced],
        }
        return {name: value for name, value in terms.items() if value}


def _short_name(name: str) -> str:
    """Return a provider's name, shortened and storable."""
    return storable(name[:_MAX_NAME])


def _tools(used: object) -> Iterator[tuple[str, object]]:
    """Yield the usage counts of the provider's tools, at any nesting level."""
    if isinstance(used, dict):
        for name, number in used.items():
            if isinstance(number, dict):
                yield from _tools(number)
            else:
                yield str(name), number
