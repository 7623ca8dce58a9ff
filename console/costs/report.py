"""What the page of costs shows: sums of a period by part and group, prepared for the templates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext

from console.costs.addresses import Address
from console.costs.chart import Chart, Column, draw
from console.costs.groups import GROUPS, Named
from console.costs.period import Period
from console.language import formats
from console.templatetags.console import usd
from telemetry.selectors import Group, Summary, Totals, add_totals, ranked_groups, summary, summary_of_scopes

MAX_SERIES = 5  # groups with bars of their own; the others are one more
MAX_ROWS = 100  # of a table by group
#: Width and height of the chart. Labels have the same size in both; style sheets choose one.
SIZES = {"wide": (1_180, 280), "narrow": (330, 230)}

Id = tuple[Any, ...]  # of a group


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A sum, and the address of its executions."""

    totals: Totals
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A row of the table by day or month."""

    name: str
    cells: Sequence[Cell | None]  # by series; None: no calls
    whole: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table by group."""

    group: Named
    executions: int
    totals: Totals
    share: Decimal | None  # from 0 to 1, of the known costs
    series: int  # the number of its bars
    narrowed: str = ""  # the page with this group alone
    href: str = ""  # its executions


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The sums of a period."""

    summary: Summary
    series: Sequence[Named]
    parts: Sequence[Part]
    charts: Mapping[str, Chart]
    rows: Sequence[Row]
    left_out: int  # groups beyond `MAX_ROWS`
    whole: Cell
    mean: Totals | None  # the cost of an execution; None: there are no executions
    cost_by_day: Mapping[date, Decimal]
    unknown_days: Sequence[date]  # with calls of unknown cost


def sums_of(address: Address, **asked: Any) -> Summary:
    """Return the sums that a report needs; `asked` are filters of the selector, and who reads.

    The tags of a day do not add up to the day. There may be many scopes, of which the largest are drawn.
    """
    group, tz = address.group, address.period.zone
    if group == "scope":
        return summary_of_scopes(tz=tz, largest=MAX_SERIES + 1, **asked)
    group_by = [group, "day"] if group == "tag" else [group]
    return summary(tz=tz, group_by=group_by, by_day=group, by_workflow=False, **asked)


def report(summary: Summary, address: Address) -> Report:
    """Prepare sums as of `sums_of`."""
    group = address.group
    ranked = ranked_groups(summary.groups[group])
    series = _series(ranked, group)
    by_day = _by_day(summary)
    wholes: dict[date, list[Totals]] = defaultdict(list)
    for day, totals in by_day.items():
        wholes[address.period.part_of(day)].append(totals)
    of_parts = {part: add_totals(wholes[part]) for part in sorted(wholes)}
    sums = _by_series(summary, address, ranked=ranked, of_parts=of_parts)
    parts = [_part(part, address, sums=sums[part], whole=whole, series=series) for part, whole in of_parts.items()]
    return Report(
        summary=summary,
        series=series,
        parts=parts,
        charts=_charts(address.period, series=series, sums=sums, of_parts=of_parts),
        rows=[
            _row(each, address, number=number, whole=summary.totals) for number, each in enumerate(ranked[:MAX_ROWS])
        ],
        left_out=max(0, len(ranked) - MAX_ROWS),
        whole=Cell(totals=summary.totals, href=address.executions()),
        mean=_mean(summary),
        cost_by_day={day: totals.known_cost_usd for day, totals in by_day.items()},
        unknown_days=[day for day, totals in by_day.items() if not totals.cost_complete],
    )


def _mean(summary: Summary) -> Totals | None:
    if not summary.executions:
        return None
    return summary.totals._replace(known_cost_usd=summary.totals.known_cost_usd / summary.executions)


def _id(group: Group) -> Id:
    return tuple(value for name, value in group.key.items() if name != "day")


def _day(group: Group) -> date:
    return date.fromisoformat(str(group.key["day"]))


def _by_series(
    summary: Summary, address: Address, *, ranked: Sequence[Group], of_parts: Mapping[date, Totals]
) -> dict[date, list[Totals]]:
    """Return the sums of each part by series. The last series is the rest, if there are more groups than series."""
    number_of = {_id(each): min(number, MAX_SERIES) for number, each in enumerate(ranked)}
    found: dict[date, list[list[Totals]]] = {part: [[] for _ in ranked[: MAX_SERIES + 1]] for part in of_parts}
    for each in summary.cross or []:
        found[address.period.part_of(_day(each))][number_of[_id(each)]].append(each.totals)
    sums = {part: [add_totals(each) for each in cells] for part, cells in found.items()}
    if address.group == "scope" and len(ranked) > MAX_SERIES + 1:  # the table by day has the largest alone
        return {part: [*cells[:-1], _rest(of_parts[part], add_totals(cells[:-1]))] for part, cells in sums.items()}
    return sums


def _rest(whole: Totals, part: Totals) -> Totals:
    """Return calls and costs of a sum without a part of it."""
    return Totals(
        calls=whole.calls - part.calls,
        known_cost_usd=whole.known_cost_usd - part.known_cost_usd,
        unpriced_calls=whole.unpriced_calls - part.unpriced_calls,
    )


def _by_day(summary: Summary) -> dict[date, Totals]:
    """Return the sums by day: those of the groups added up, if each call is in one group."""
    if "day" in summary.groups:
        return {_day(each): each.totals for each in summary.groups["day"]}
    found: dict[date, list[Totals]] = defaultdict(list)
    for each in summary.cross or []:
        found[_day(each)].append(each.totals)
    return {day: add_totals(totals) for day, totals in sorted(found.items())}


def _series(ranked: Sequence[Group], group: str) -> list[Named]:
    """Return the groups with bars; the last one are all others."""
    named = [GROUPS[group].name(each.key) for each in ranked]
    others = named[MAX_SERIES:]
    if len(others) <= 1:
        return named
    return [*named[:MAX_SERIES], Named(name=gettext("%(count)d others") % {"count": len(others)})]


def _part(part: date, address: Address, *, sums: Sequence[Totals], whole: Totals, series: Sequence[Named]) -> Part:
    days = address.period.days_of(part)
    cells = [
        Cell(totals=totals, href=address.executions(days=days, more=named.filters) if named.filters else "")
        if totals.calls
        else None
        for named, totals in zip(series, sums, strict=True)
    ]
    return Part(
        name=name_of(part, address.period), cells=cells, whole=Cell(totals=whole, href=address.executions(days=days))
    )


def name_of(part: date, period: Period) -> str:
    """Return the name of a day or a month in a table."""
    if period.by_month:
        return formats.month(part)
    return formats.weekday(part, with_year=period.first.year != period.last.year)


def _row(group: Group, address: Address, *, number: int, whole: Totals) -> Row:
    named = GROUPS[address.group].name(group.key)
    share = group.totals.known_cost_usd / whole.known_cost_usd if whole.known_cost_usd else None
    narrowed = href = ""
    if named.filters is not None:
        narrowed, href = address.page(more=named.filters), address.executions(more=named.filters)
    return Row(
        group=named,
        executions=group.executions,
        totals=group.totals,
        share=share,
        series=min(number, MAX_SERIES),
        narrowed=narrowed,
        href=href,
    )


def _charts(
    period: Period,
    *,
    series: Sequence[Named],
    sums: Mapping[date, Sequence[Totals]],
    of_parts: Mapping[date, Totals],
) -> dict[str, Chart]:
    columns = []
    for part in period.parts:
        amounts = [each.known_cost_usd for each in sums.get(part, [])]
        named = zip(series, amounts, strict=False)
        columns.append(
            Column(
                label=_axis_label(part, period),
                amounts=amounts,
                titles=[f"{name_of(part, period)}, {each.name}: {usd(amount)}" for each, amount in named],
                has_unknown=part in of_parts and not of_parts[part].cost_complete,
            )
        )
    return {name: draw(columns, width=width, height=height) for name, (width, height) in SIZES.items()}


def _axis_label(part: date, period: Period) -> str:
    if period.by_month:
        return formats.short_month(part)
    return str(part.day) if period.is_month else formats.day_of_year(part)
