"""Paths of authentication."""

from __future__ import annotations

from django.urls import re_path

from access.audit.views import AuditViewSet
from access.views import TokenView

urlpatterns = [
    re_path(r"^auth/token/?$", TokenView.as_view(), name="token"),
    re_path(r"^audit/?$", AuditViewSet.as_view({"get": "list"}), name="audit"),
]
