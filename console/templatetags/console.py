"""Tags of the console's templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import template
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from access.idempotency import HEADER
from common.database.counts import count_text
from common.time import format_rfc3339
from console.document_text import RenderedDocument, render_document

register = template.Library()

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
    shown = f"{local.day} {local:%b %Y, %H:%M} {local.tzname()}"
    exact = f"{local:%A %H:%M:%S} {zone}"
    return format_html('<time datetime="{}" title="{}">{}</time>', format_rfc3339(moment), exact, shown)


@register.simple_tag(takes_context=True)
def form_key(context: Context, is_sent: object = False) -> SafeString:
    """Return the hidden field with which the server acts once on a form, however often it is sent.

    A form that is shown again (`is_sent`) keeps the key that it was sent with: the answer may have been lost.
    """
    key = context["request"].POST.get(HEADER) if is_sent else None
    return format_html('<input type="hidden" name="{}" value="{}">', HEADER, key or uuid4().hex)


@register.filter
def words(name: Any) -> str:
    """Return an identifier in words: `meeting-minutes` is `Meeting minutes`."""
    text = str(name).replace("_", " ").replace("-", " ")
    return text[:1].upper() + text[1:]


@register.filter
def usd(cost: Decimal | None) -> str:
    """Return US dollars as text: `$0`, `$1.20`, and six decimals below a cent; `unknown` for None."""
    if cost is None:
        return "unknown"
    return "$0" if not cost else f"${cost:.6f}" if cost < Decimal("0.01") else f"${cost:.2f}"


@register.filter
def seconds(duration: float) -> str:
    """Return a duration as people read it: `0.4 s`, `12 s`, `2 min 14 s`, `1 h 5 min`."""
    if duration < 0.1:
        return "under 0.1 s"
    whole = round(duration)
    if whole < 60:
        return f"{duration:.1f} s" if duration < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@register.filter
def thousands(number: int) -> str:
    """Return a number with commas: `1,234`."""
    return f"{number:,}"


@register.simple_tag
def spent(totals: Any, duration: float | None) -> str:
    """Return time, calls, tokens and cost: `12 s · 1 call · 160 tokens · $0.01`."""
    cost = usd(totals.cost_usd)
    if not totals.cost_complete:
        cost = f"{usd(totals.known_cost_usd)}, and {_counted(totals.unpriced_calls, 'call')} of unknown cost"
    told = [] if duration is None else [seconds(duration)]
    return " · ".join([*told, _counted(totals.calls, "call"), _counted(totals.total_tokens, "token"), cost])


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


@register.simple_tag
def changes(counts: Mapping[str, int]) -> str:
    """Return the number of changes, and of each kind: `3 changes: 2 added, 1 moved`."""
    total = sum(counts.values())
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
    return f"{total:,} change{'' if total == 1 else 's'}: {kinds}" if total else "No changes"


@register.simple_tag
def document(content: Any, schema: Any, title: str = "") -> RenderedDocument:
    """Return a document as HTML; `{% document … as text %}` gives `text.body` and `text.contents`."""
    return render_document(content, schema, title=title)
