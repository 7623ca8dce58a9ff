"""Paths of costs."""

from __future__ import annotations

from django.urls import re_path

from telemetry.views import SharesView, SummaryView

urlpatterns = [
    re_path(r"^telemetry/summary/?$", SummaryView.as_view(), name="telemetry-summary"),
    re_path(r"^telemetry/executions/?$", SharesView.as_view({"get": "list"}), name="telemetry-executions"),
]
