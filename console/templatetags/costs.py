"""Tags and filters of the page of costs."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.templatetags.console import usd
from telemetry.selectors import Totals

register = template.Library()


@register.filter
def cost(totals: Totals) -> SafeString | str:
    """Return the cost of a sum: `$1.20`, `≥ $1.20` if a part of it is unknown, `unknown` if all of it is."""
    if totals.cost_complete:
        return usd(totals.known_cost_usd)
    if not totals.known_cost_usd:
        return gettext("unknown")
    spoken = gettext("at least")
    return format_html(
        '<span aria-hidden="true">≥</span><span class="visually-hidden">{}</span> {}',
        spoken,
        usd(totals.known_cost_usd),
    )


@register.filter
def cached(totals: Totals) -> int:
    """Return the input tokens that were read from a cache or written into one."""
    return totals.cache_read_input_tokens + totals.cache_write_input_tokens


@register.filter
def percent(share: Decimal | float | None) -> str:
    """Return a share from 0 to 1 in percent: `37 %`, `< 1 %`; empty for None."""
    if share is None:
        return ""
    number = Decimal(share) * 100
    return "< 1 %" if 0 < number < 1 else f"{number:.0f} %"
