"""The menu of the admin: by what staff do, with names that people use instead of those of tables and libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_lazy

App = dict[str, Any]

#: Groups of the menu, each with its models in order. A model that is not named is in the group of its app.
_GROUPS: Mapping[Any, tuple[str, ...]] = {
    gettext_lazy("Work"): (
        *("executions.execution", "executions.executionstep", "executions.executionevent"),
        *("documents.document", "documents.documentversion", "workflows.workflow", "workflows.workflowversion"),
    ),
    gettext_lazy("Costs and limits"): (
        *("telemetry.modelcall", "telemetry.price", "telemetry.modellimit", "telemetry.scopebudget"),
    ),
    gettext_lazy("People and scopes"): (
        *("access.user", "auth.group", "access.externalaccount", "knox.authtoken", "access.scope"),
        "access.auditentry",
    ),
    gettext_lazy("Operation"): ("executions.workerheartbeat", "procrastinate.procrastinatejob"),
}
#: Names of tables and apps in menus and headings, which differ from their own.
_NAMES: Mapping[str, Any] = {
    "access.auditentry": gettext_lazy("audit log"),
    "executions.executionevent": gettext_lazy("events"),
    "executions.executionstep": gettext_lazy("steps"),
    "executions.workerheartbeat": gettext_lazy("workers"),
    "knox.authtoken": gettext_lazy("API tokens"),
    "procrastinate.procrastinatejob": gettext_lazy("jobs"),
    "telemetry.modelcall": gettext_lazy("calls to models"),
}
_APPS: Mapping[str, Any] = {
    "access": gettext_lazy("People and scopes"),
    "auth": gettext_lazy("People and scopes"),
    "knox": gettext_lazy("People and scopes"),
    "procrastinate": gettext_lazy("Operation"),
    "telemetry": gettext_lazy("Costs and limits"),
}


def give_name(model: type[Model]) -> None:
    """Give a model and its app the names that the admin shows. Nothing else reads them."""
    meta = model._meta  # noqa: SLF001 - a documented API
    meta.verbose_name_plural = _NAMES.get(meta.label_lower, meta.verbose_name_plural)
    meta.app_config.verbose_name = _APPS.get(meta.app_label, meta.app_config.verbose_name)


def label_of(entry: Mapping[str, Any]) -> str:
    """Return the label of a model in the list of apps, such as `executions.execution`."""
    label: str = entry["model"]._meta.label_lower  # noqa: SLF001 - a documented API
    return label


def grouped(apps: Iterable[App]) -> list[App]:
    """Return the groups of the menu; those of which the user may see nothing are left out."""
    rest = list(apps)
    found = {label_of(entry): (app, entry) for app in rest for entry in app["models"]}
    groups: list[App] = []
    for name, labels in _GROUPS.items():
        members = [found.pop(label) for label in labels if label in found]
        if members:
            app = members[0][0]
            groups.append({**app, "name": name, "models": [entry for _, entry in members]})
    others = ({**app, "models": [each for each in app["models"] if label_of(each) in found]} for app in rest)
    return [*groups, *(app for app in others if app["models"])]
