"""Words of the timeline: waits, limits, and names of steps."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext

from console.execution_pages.timeline.bars import Kind
from console.templatetags.console import seconds, thousands, usd
from executions.engine.domain.execution import keys_of
from executions.engine.domain.states import Limit, WaitingOn

WAITS = {
    WaitingOn.CLARIFICATION: gettext_lazy("answers"),
    WaitingOn.ACCEPTANCE: gettext_lazy("a decision"),
    WaitingOn.BUDGET: gettext_lazy("a higher budget"),
    WaitingOn.RATE_LIMIT: gettext_lazy("a provider"),
}

KINDS = {
    Kind.QUEUE: gettext_lazy("queue"),
    Kind.WRITING: gettext_lazy("writing"),
    Kind.REVIEW: gettext_lazy("review"),
    Kind.PEOPLE: gettext_lazy("waiting for people"),
    Kind.PROVIDER: gettext_lazy("waiting for a provider"),
    Kind.OPEN: gettext_lazy("begun, waiting"),
}


def name_of(name: str, label: str, step_id: str) -> str:
    """Return the name of a step: `Architecture · Counter` for one of an item."""
    item = label or ".".join(keys_of(step_id))
    return f"{name} · {item}" if item else name


def quoted(text: str) -> SafeString:
    """Return what a person or a model wrote, as a quotation."""
    return format_html('<q dir="auto">{}</q>', text)


def limits_in_words(limits: Mapping[str, Any]) -> list[str]:
    """Return the limits of a budget that are set."""
    return [_limit(each, limits[each.value]) for each in Limit if limits.get(each.value) is not None]


def _limit(limit: Limit, value: Any) -> str:
    if limit is Limit.SECONDS:
        return gettext("{span} of running time").format(span=seconds(float(value)))
    if limit in {Limit.COST, Limit.SCOPE_MONTH}:
        return usd(Decimal(value))
    number = int(value)
    words = ngettext("{number} call", "{number} calls", number)
    if limit is Limit.TOKENS:
        words = ngettext("{number} token", "{number} tokens", number)
    return words.format(number=thousands(number))
