"""Paths of the pages of workflows. No workflow has the id `-`."""

from __future__ import annotations

from django.urls import path

from console.workflows import act_pages, catalog_pages, edit_pages

urlpatterns = [
    path("", catalog_pages.catalog, name="workflows"),
    path("-/parts/catalog/", catalog_pages.listed, name="part-workflows"),
    path("-/new/", edit_pages.add, name="add-workflow"),
    path("<slug:workflow_id>/", catalog_pages.workflow, name="workflow"),
    path("<slug:workflow_id>/compare/", catalog_pages.compare_versions, name="compare-workflow-versions"),
    path("<slug:workflow_id>/edit/", edit_pages.edit, name="edit-workflow"),
    path("<slug:workflow_id>/parts/versions/", catalog_pages.versions, name="part-workflow-versions"),
    path("<slug:workflow_id>/parts/newer/", edit_pages.newer_version, name="part-newer-workflow"),
    path("<slug:workflow_id>/current/", act_pages.make_current, name="make-workflow-current"),
    path("<slug:workflow_id>/retire/", act_pages.retire, name="retire-workflow"),
    path("<slug:workflow_id>/restore/", act_pages.restore, name="restore-workflow"),
]
