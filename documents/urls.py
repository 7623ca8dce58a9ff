"""Paths of documents."""

from __future__ import annotations

from rest_framework.routers import DefaultRouter

from documents.views import DocumentViewSet

router = DefaultRouter()
router.trailing_slash = "/?"
router.include_root_view = False
router.include_format_suffixes = False
router.register("documents", DocumentViewSet, basename="document")
urlpatterns = router.urls
