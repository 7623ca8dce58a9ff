"""The menu of the admin: by what staff do, with names that people use instead of those of tables and libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
#: Names that differ from those of the tables.
_NAMES: Mapping[str, Any] = {
    "executions.executionstep": gettext_lazy("Steps"),
    "executions.executionevent": gettext_lazy("Events"),
    "telemetry.modelcall": gettext_lazy("Calls to models"),
    "knox.authtoken": gettext_lazy("API tokens"),
    "access.externalaccount": gettext_lazy("Single sign-on"),
    "access.auditentry": gettext_lazy("Audit log"),
    "executions.workerheartbeat": gettext_lazy("Workers"),
    "procrastinate.procrastinatejob": gettext_lazy("Jobs"),
}


def label_of(entry: Mapping[str, Any]) -> str:
    """Return the label of a model in the list of apps, such as `executions.execution`."""
    label: str = entry["model"]._meta.label_lower  # noqa: SLF001 - a documented API
    return label


def named(apps: Iterable[App]) -> list[App]:
    """Return the apps with the names that people use for their models."""
    return [
        {**app, "models": [{**each, "name": _NAMES.get(label_of(each), each["name"])} for each in app["models"]]}
        for app in apps
    ]


def grouped(apps: Iterable[App]) -> list[App]:
    """Return the groups of the menu; those of which the user may see nothing are left out."""
    rest = named(apps)
    found = {label_of(entry): (app, entry) for app in rest for entry in app["models"]}
    groups: list[App] = []
    for name, labels in _GROUPS.items():
        members = [found.pop(label) for label in labels if label in found]
        if members:
            app = members[0][0]
            groups.append({**app, "name": name, "models": [entry for _, entry in members]})
    others = ({**app, "models": [each for each in app["models"] if label_of(each) in found]} for app in rest)
    return [*groups, *(app for app in others if app["models"])]
