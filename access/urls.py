"""Paths of authentication and of a user's own account."""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import DefaultRouter

from access.account.views import AccountView, OwnSessionViewSet, OwnTokenViewSet, PasswordView
from access.views import TokenView

router = DefaultRouter()
router.trailing_slash = "/?"
router.include_root_view = False
router.include_format_suffixes = False
router.register("me/tokens", OwnTokenViewSet, basename="own-token")
router.register("me/sessions", OwnSessionViewSet, basename="own-session")
urlpatterns = [
    re_path(r"^auth/token/?$", TokenView.as_view(), name="token"),
    re_path(r"^me/?$", AccountView.as_view(), name="account"),
    re_path(r"^me/password/?$", PasswordView.as_view(), name="own-password"),
    *router.urls,
]
