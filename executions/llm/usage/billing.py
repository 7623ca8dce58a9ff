"""On which terms a provider bills a call, besides its tokens: tiers, searches, and what has a price of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import JsonValue

from executions.llm.usage.counts import reports
from workflows.errors import storable

#: Names of the tier that the plain price is for. Servers say any of them, or none.
_PLAIN = frozenset({"", "auto", "default", "standard", "on_demand", "none", "unspecified", "traffic_type_unspecified"})
_RENAMED = {"on_demand_priority": "priority", "on_demand_flex": "flex"}  # what Google's traffic types are tiers of
_NAME = 40  # characters of a name that are kept
_SEARCHES = frozenset({"web_search_requests", "num_search_queries", "num_requests"})
_FREE_TOOLS = frozenset({"web_fetch_requests"})  # what they read is counted as input
_ANYWHERE = frozenset({"", "global", "not_available"})  # where a call is carried out, at the plain price


class Terms:
    """The terms of one call, as they are said in its answer."""

    def __init__(self) -> None:
        self._tiers: dict[str, str] = {}  # by where it was said, the last one
        self._searches = 0
        self._unpriced: dict[str, None] = {}  # a set in the order in which it was said

    def note_tier(self, where: str, name: object) -> None:
        """Note a tier, by the name that the provider has for it."""
        if name is not None:
            tier = _name(str(name).strip().lower())
            self._tiers[where] = _RENAMED.get(tier, tier)

    def note_searches(self, number: object) -> None:
        """Note how many searches of the web there were so far."""
        if isinstance(number, int) and number > 0:
            self._searches = max(self._searches, int(number))

    def note(self, message: object) -> None:
        """Note what an answer, or an event of a stream, says of its terms."""
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
            self._tiers["speed"] = "" if speed == "standard" else _name(f"speed={speed}")
        geography = report.get("inference_geo")
        if geography is not None and str(geography) not in _ANYWHERE:
            self._unpriced[_name(f"inference_geo={geography}")] = None
        for name in ("num_search_queries", "num_sources_used"):
            self._note_tool(name, report.get(name))
        for tool in _tools(report.get("server_tool_use")):
            self._note_tool(*tool)

    def _note_tool(self, name: str, number: object) -> None:
        if name in _SEARCHES:
            self.note_searches(number)
        elif name not in _FREE_TOOLS and isinstance(number, int | float) and number > 0:
            self._unpriced[_name(name)] = None

    def received(self, *, written_1h: int = 0) -> dict[str, JsonValue]:
        """Return the terms as the price list reads them; without any the plain price holds.

        Args:
            written_1h: Tokens written to a cache for an hour.
        """
        tiers = sorted({tier for tier in self._tiers.values() if tier not in _PLAIN})
        terms: dict[str, JsonValue] = {
            "tiers": [*tiers],
            "cache_write_1h": written_1h,
            "searches": self._searches,
            "unpriced": [*self._unpriced],
        }
        return {name: value for name, value in terms.items() if value}


def _name(received: str) -> str:
    """Return a provider's word as it is kept: the ledger refuses some characters."""
    return storable(received[:_NAME])


def _tools(used: object) -> Iterator[tuple[str, object]]:
    """Yield what tools of the provider's were used for: their numbers, however deep they stand."""
    if isinstance(used, dict):
        for name, number in used.items():
            if isinstance(number, dict):
                yield from _tools(number)
            else:
                yield str(name), number
