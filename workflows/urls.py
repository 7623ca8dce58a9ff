"""Paths of workflows."""

from __future__ import annotations

from rest_framework.routers import DefaultRouter

from workflows.views import WorkflowViewSet

router = DefaultRouter()
router.trailing_slash = "/?"
router.include_root_view = False
router.include_format_suffixes = False
router.register("workflows", WorkflowViewSet, basename="workflow")
urlpatterns = router.urls
