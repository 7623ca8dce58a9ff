"""The script of a dry run in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext, gettext_lazy, ngettext

from console.templatetags.console import seconds
from executions.engine.domain.dry_run import DryRunScript, StepScript

_FAULTS = {
    "provider_unavailable": gettext_lazy("the provider is not available"),
    "timed_out": gettext_lazy("it takes too long"),
    "provider_rejected": gettext_lazy("the provider refuses it"),
    "context_too_long": gettext_lazy("the prompt is too long"),
    "model_refused": gettext_lazy("the model refuses"),
}
_VERDICTS = {
    "satisfied": gettext_lazy("satisfied"),
    "needs_revision": gettext_lazy("needs a revision"),
    "failed": gettext_lazy("a revision would not help"),
}


def script_in_words(script: Mapping[str, Any], names: Mapping[str, str]) -> list[tuple[str, Sequence[str]]]:
    """Return what a script prescribes, by the names of steps; the first one, without a name, is about all."""
    given = DryRunScript.model_validate(script)
    whole = [] if given.latency_seconds is None else [_latency(given.latency_seconds)]
    steps = [(names.get(step_id, step_id), list(_step(each))) for step_id, each in given.steps.items()]
    return [*([("", whole)] if whole else []), *((name, told) for name, told in steps if told)]


def _step(script: StepScript) -> Iterator[str]:
    if script.fail:
        faults = gettext(", ").join(str(_FAULTS[each]) for each in script.fail)
        number = len(script.fail)
        told = ngettext("its first call fails: {faults}", "its first {number} calls fail: {faults}", number)
        yield told.format(number=number, faults=faults)
    if script.ask:
        number = len(script.ask)
        yield ngettext("it asks {number} question", "it asks {number} questions", number).format(number=number)
    if script.invalid:
        told = ngettext("{number} output is not valid", "{number} outputs are not valid", script.invalid)
        yield told.format(number=script.invalid)
    if script.verdicts:
        verdicts = gettext(", ").join(str(_VERDICTS[each]) for each in script.verdicts)
        yield gettext("its reviews say: {verdicts}").format(verdicts=verdicts)
    if script.latency_seconds is not None:
        yield _latency(script.latency_seconds)


def _latency(length: float) -> str:
    return gettext("each call takes {span}").format(span=seconds(length))
