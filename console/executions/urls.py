"""Paths of executions."""

from __future__ import annotations

from django.urls import path

from console.executions import compare_pages, list_pages, start_pages

urlpatterns = [
    path("executions/", list_pages.listing, name="executions"),
    path("executions/parts/rows/", list_pages.rows, name="part-executions"),
    path("executions/bulk/", list_pages.act_on_chosen, name="executions-bulk"),
    path("executions/new/", start_pages.start, name="start"),
    path("executions/new/parts/plan/", start_pages.plan_part, name="part-start-plan"),
    path("executions/new/parts/scope/", start_pages.scope_part, name="part-start-scope"),
    path("executions/new/parts/script/", start_pages.script_part, name="part-start-script"),
    path("executions/compare/", compare_pages.compare, name="compare-executions"),
]
