"""The budget of an execution: its limits with what is used, and the form that changes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, gettext_lazy

from console.execution_pages.calls.words import LIMITS
from console.forms import AmountField, CountField, SecondsField, plain_number
from console.templatetags.console import seconds, thousands, usd
from executions.engine.domain.states import Limit
from executions.selectors.costs import BlockedCalls
from executions.selectors.details import ExecutionDetails
from workflows.definitions.budget import MAX_INTEGER, Budget

#: Limits of an execution, in their order on the page.
NAMES = tuple(Budget.model_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLine:
    """One limit: how much of it is used or reserved."""

    limit: Limit
    used: Decimal
    most: Decimal
    is_complete: bool = True  # False: calls without a known price are not in `used`
    blocked: BlockedCalls | None = None  # calls that are not made because of it

    @property
    def name(self) -> str:
        """Its name."""
        return str(LIMITS[self.limit])

    @property
    def used_text(self) -> str:
        """What is used or reserved, for people."""
        text = _text(self.limit, self.used)
        return text if self.is_complete else gettext("%(used)s, and unknown costs") % {"used": text}

    @property
    def most_text(self) -> str:
        """The limit, for people."""
        return _text(self.limit, self.most)

    @property
    def left_text(self) -> str:
        """What is left, for people."""
        return _text(self.limit, max(Decimal(0), self.most - self.used))

    @property
    def width(self) -> str:
        """The length of its bar, of 100."""
        share = 100 if self.used >= self.most else self.used / self.most * 100
        return f"{share:.1f}"

    @property
    def needed(self) -> str:
        """A limit with which the next call is made, as the form takes it; empty if it is not known."""
        if self.blocked is None or self.limit is not Limit.COST or self.blocked.most_usd is None:
            return ""
        return plain_number(self.used + self.blocked.most_usd)


def _text(limit: Limit, value: Decimal) -> str:
    if limit is Limit.COST:
        return usd(value)
    return seconds(float(value)) if limit is Limit.SECONDS and value else thousands(int(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """The limits of an execution, and what waits for a higher one."""

    lines: Sequence[LimitLine]
    blocked: Sequence[BlockedCalls]
    details: ExecutionDetails

    @classmethod
    def of(cls, details: ExecutionDetails, blocked: Sequence[BlockedCalls]) -> BudgetView:
        """Return it for an execution, and what its next calls need."""
        return cls(lines=_lines(details, {each.limit: each for each in blocked}), blocked=blocked, details=details)

    @property
    def waits_for_month(self) -> bool:
        """Whether the next call waits for the monthly budget of the scope."""
        return any(each.limit is Limit.SCOPE_MONTH for each in self.blocked)

    @property
    def needed_usd(self) -> Decimal | None:
        """Maximum cost of the most expensive call that is blocked; None: none is, or its price is unknown."""
        known = [each.most_usd for each in self.blocked if each.most_usd is not None]
        return max(known, default=None)

    @property
    def limits(self) -> dict[str, str]:
        """The limits that are set, as text without an exponent."""
        return {each.limit.value: plain_number(each.most) for each in self.lines}


def _lines(details: ExecutionDetails, blocked: Mapping[Limit, BlockedCalls]) -> list[LimitLine]:
    use = details.use
    if use is None:
        return []
    used = {
        Limit.COST: use.known_cost_usd,
        Limit.TOKENS: Decimal(use.tokens),
        Limit.CALLS: Decimal(use.calls),
        Limit.SECONDS: Decimal(str(use.seconds)),
    }
    return [
        LimitLine(
            limit=limit,
            used=used[limit],
            most=Decimal(str(most)),
            is_complete=limit is not Limit.COST or use.cost_complete,
            blocked=blocked.get(limit),
        )
        for limit in used
        if (most := getattr(use.budget, limit.value)) is not None
    ]


class LimitsForm(forms.Form):
    """The limits of an execution. A limit goes only by an explicit choice, never by an empty field."""

    max_cost_usd = AmountField(
        label=gettext_lazy("US dollars"), required=False, min_value=Decimal(0), max_digits=20, decimal_places=10
    )
    max_tokens = CountField(label=gettext_lazy("Tokens"), required=False, min_value=0, max_value=MAX_INTEGER)
    max_calls = CountField(label=gettext_lazy("Calls"), required=False, min_value=0, max_value=MAX_INTEGER)
    max_seconds = SecondsField(
        label=gettext_lazy("Running seconds"), required=False, min_value=0, max_value=MAX_INTEGER
    )
    remove = forms.MultipleChoiceField(required=False, choices=[(name, name) for name in NAMES])
    shown = forms.CharField(required=False, widget=forms.HiddenInput, max_length=1_000)

    def __init__(self, sent: QueryDict | None = None, *, limits: Mapping[str, str]) -> None:
        """Prepare the form.

        Args:
            sent: What was sent; None for a new form.
            limits: The limits that are set now.
        """
        self.limits, self.sent = dict(limits), sent
        super().__init__(sent, initial={**limits, "shown": json.dumps(self.limits)}, auto_id="limit-%s")
        for name in NAMES:
            self.fields[name].widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    @property
    def amounts(self) -> list[dict[str, Any]]:
        """The fields of the limits, each with whether it is set, and whether it is to go."""
        chosen = [] if self.sent is None else self.sent.getlist("remove")
        return [
            {"field": self[name], "is_set": name in self.limits, "is_to_go": name in chosen, "name": name}
            for name in NAMES
        ]

    def show_current(self) -> None:
        """Show with which limits the form is sent again: those of now, which another person may have changed."""
        data = QueryDict(mutable=True) if self.sent is None else self.sent.copy()
        data["shown"] = json.dumps(self.limits)
        self.data = data

    def clean(self) -> dict[str, Any]:
        """Return the limits to change; None removes one. What was not changed here stays as it is now."""
        given: dict[str, Any] = super().clean() or {}
        gone, before = set(given.get("remove", ())), self._before()
        wanted: dict[str, Any] = {}
        for name in NAMES:
            typed = None if given.get(name) is None else plain_number(given[name])
            is_to_go = name in gone
            if name not in given or (typed == before.get(name) and not is_to_go):
                continue
            if fault := self._fault(name, typed, before=before.get(name), is_to_go=is_to_go):
                self.add_error(name, fault)
            elif is_to_go or typed != self.limits.get(name):
                wanted[name] = None if is_to_go else given[name]
        return wanted

    def _fault(self, name: str, typed: str | None, *, before: str | None, is_to_go: bool) -> str:
        known = self.limits.get(name)
        if known != before and known is None:
            return gettext("Another person has removed this limit. Send the form again to set it.")
        if known != before:
            told = gettext("Another person has changed this to %(now)s. Send the form again to replace that.")
            return told % {"now": known}
        if typed is None and not is_to_go:
            return gettext("Enter a number, or choose to remove this limit.")
        if is_to_go and typed not in {None, known}:
            return gettext("Enter another number, or remove this limit: not both.")
        return ""

    def _before(self) -> dict[str, str]:
        """Return the limits that the form has shown; those of now if it does not say."""
        try:
            before = json.loads(self.data.get("shown", ""))
        except ValueError:
            return self.limits
        return before if isinstance(before, dict) else self.limits
