"""The groups that costs are split by: their names for people, and the filters that select a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

Key = Mapping[str, Any]  # of a group of the summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A group as people read it."""

    name: str
    more: str = ""  # in front of the name, in small type
    filters: Mapping[str, str] | None = None  # that select its calls; None: no filter does


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """A way to split costs."""

    title: str | Promise
    noun: str | Promise  # in a sentence
    title_by: str | Promise  # of a table
    name: Callable[[Key], Named]


def _model(key: Key) -> Named:
    provider, model = key["provider"], key["model"]
    filters = {"model": f"{provider}:{model}"}
    if not provider and not model:
        return Named(name=gettext("No reply"), filters=filters)
    return Named(name=model or gettext("unnamed"), more=provider, filters=filters)


def _scope(key: Key) -> Named:
    filters = {"scope_type": key["scope_type"], "scope_id": key["scope_id"]}
    return Named(name=key["scope_id"], more=key["scope_type"], filters=filters)


def _user(key: Key) -> Named:
    name = key["user"]
    return (
        Named(name=gettext("The system or an erased person"))
        if name is None
        else Named(name=name, filters={"user": name})
    )


GROUPS: dict[str, Grouping] = {
    "model": Grouping(
        title=gettext_lazy("Model"), noun=gettext_lazy("model"), title_by=gettext_lazy("By model"), name=_model
    ),
    "workflow": Grouping(
        title=gettext_lazy("Workflow"),
        noun=gettext_lazy("workflow"),
        title_by=gettext_lazy("By workflow"),
        name=lambda key: Named(name=key["workflow_id"], filters={"workflow_id": key["workflow_id"]}),
    ),
    "scope": Grouping(
        title=gettext_lazy("Scope"), noun=gettext_lazy("scope"), title_by=gettext_lazy("By scope"), name=_scope
    ),
    "user": Grouping(
        title=gettext_lazy("Person"), noun=gettext_lazy("person"), title_by=gettext_lazy("By person"), name=_user
    ),
    "tag": Grouping(
        title=gettext_lazy("Tag"),
        noun=gettext_lazy("tag"),
        title_by=gettext_lazy("By tag"),
        name=lambda key: Named(name=key["tag"], filters={"tag": key["tag"]}),
    ),
}
