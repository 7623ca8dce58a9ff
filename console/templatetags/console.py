"""Tags of the console's templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext

from access.idempotency import HEADER
from common.database.counts import count_text
from common.names import in_words
from common.time import format_rfc3339
from console.document_text import RenderedDocument, render_document
from console.language import formats
from console.language.names import name_of

register = template.Library()
register.filter("words", in_words)

#: Settings of htmx. Error responses never replace a part; `shell.js` shows them.
HTMX = {
    "noSwap": [204, 304, "4xx", "5xx"],
    "includeIndicatorCSS": False,
    "history": False,
    "defaultTimeout": 60_000,
    # State of the reader, which a new version of a part does not change.
    "morphIgnore": ["data-htmx-powered", "data-changed", "open"],
}


@register.filter
def limited(count: int) -> str:
    """Format a count that is exact to 100."""
    return count_text(count)


@register.simple_tag
def htmx_config() -> str:
    """Return the settings of htmx."""
    return json.dumps(HTMX)


@register.simple_tag
def when(moment: datetime | None) -> SafeString | str:
    """Return a point in time in the reader's time zone, with the zone: `30 Nov 2026, 05:12 CET`."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    zone = getattr(local.tzinfo, "key", None) or local.tzname()
    shown = f"{formats.moment(local)} {local.tzname()}"
    exact = f"{date_format(local, 'l H:i:s')} {zone}"
    return format_html('<time datetime="{}" title="{}">{}</time>', format_rfc3339(moment), exact, shown)


@register.simple_tag(takes_context=True)
def form_key(context: Context, is_sent: object = False) -> SafeString:
    """Return the hidden field with which the server acts once on a form, however often it is sent.

    A form that is shown again (`is_sent`) keeps the key that it was sent with: the answer may have been lost.
    """
    key = context["request"].POST.get(HEADER) if is_sent else None
    return format_html('<input type="hidden" name="{}" value="{}">', HEADER, key or uuid4().hex)


@register.filter(expects_localtime=True)
def to_the_second(local: datetime) -> str:
    """Return a point in time without its zone: `30 Nov 2026, 05:12:07`."""
    return formats.exact_moment(local)


@register.filter
def day(local: date) -> str:
    """Return a day: `30 November 2026`."""
    return formats.day(local)


@register.filter
def short_day(local: date) -> str:
    """Return a day in few characters: `30 Nov 2026`."""
    return formats.short_day(local)


@register.filter
def named(value: object) -> str:
    """Return the name of a value of the API, such as a status or a role, in the language of the page."""
    return name_of(value)


@register.filter
def usd(cost: Decimal | None) -> str:
    """Return US dollars as text: `$0`, `$1.20`, and six decimals below a cent; `unknown` for None."""
    if cost is None:
        return pgettext("cost", "unknown")
    return formats.in_dollars("0") if not cost else formats.dollars(cost, 6 if cost < Decimal("0.01") else 2)


@register.filter
def seconds(duration: float) -> str:
    """Return a duration as people read it: `0.4 s`, `12 s`, `2 min 14 s`, `1 h 5 min`."""
    if duration < 0.1:
        return gettext("under %(number)s s") % {"number": formats.localized("0.1")}
    whole = round(duration)
    if whole < 60:
        return formats.localized(f"{duration:.1f} s") if duration < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def thousands(number: int) -> str:
    """Return a number with separators: `1,234`."""
    return formats.thousands(number)


@register.filter
def dollars(amount: Decimal) -> str:
    """Return US dollars with two decimals: `$0.00`."""
    return formats.dollars(amount)


@register.simple_tag
def spent(totals: Any, duration: float | None) -> str:
    """Return time, calls, tokens and cost: `12 s · 1 call · 160 tokens · $0.01`."""
    cost = usd(totals.cost_usd)
    if not totals.cost_complete:
        unknown = _calls(totals.unpriced_calls)
        cost = gettext("%(cost)s, and %(calls)s of unknown cost") % {
            "cost": usd(totals.known_cost_usd),
            "calls": unknown,
        }
    told = [] if duration is None else [seconds(duration)]
    return " · ".join([*told, _calls(totals.calls), _tokens(totals.total_tokens), cost])


def _calls(number: int) -> str:
    return ngettext("%(number)s call", "%(number)s calls", number) % {"number": formats.thousands(number)}


def _tokens(number: int) -> str:
    return ngettext("%(number)s token", "%(number)s tokens", number) % {"number": formats.thousands(number)}


@register.simple_tag
def changes(counts: Mapping[str, int]) -> str:
    """Return the number of changes, and of each kind: `3 changes: 2 added, 1 moved`."""
    total = sum(counts.values())
    if not total:
        return gettext("No changes")
    kinds = ", ".join(f"{formats.thousands(number)} {name_of(kind)}" for kind, number in counts.items() if number)
    shown = ngettext("%(number)s change", "%(number)s changes", total) % {"number": formats.thousands(total)}
    return f"{shown}: {kinds}"


@register.simple_tag
def document(content: Any, schema: Any, title: str = "") -> RenderedDocument:
    """Return a document as HTML; `{% document … as text %}` gives `text.body` and `text.contents`."""
    return render_document(content, schema, title=title)
