"""Paths of authentication, of a user's own account, of roles, invitations and the audit log.

The key of a scope may contain slashes.
"""

from __future__ import annotations

from django.urls import re_path
from rest_framework.routers import DefaultRouter

from access.account.views import AccountView, OwnSessionViewSet, OwnTokenViewSet, PasswordView
from access.audit.views import AuditViewSet
from access.people.views import AcceptInvitationView, InvitationsView, InvitationView, RolesView, RoleView
from access.views import TokenView
from common.api.views import UUID_PATTERN

_SCOPE = r"^scopes/(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))"

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
    re_path(rf"{_SCOPE}/roles/?$", RolesView.as_view({"get": "list"}), name="scope-roles"),
    re_path(rf"{_SCOPE}/roles/(?P<username>[^/]+)/?$", RoleView.as_view(), name="scope-role"),
    re_path(
        rf"{_SCOPE}/invitations/?$",
        InvitationsView.as_view({"get": "list", "post": "create"}),
        name="scope-invitations",
    ),
    re_path(
        rf"{_SCOPE}/invitations/(?P<invitation_id>{UUID_PATTERN})/?$",
        InvitationView.as_view(),
        name="scope-invitation",
    ),
    re_path(r"^invitations/accept/?$", AcceptInvitationView.as_view(), name="invitation-accept"),
    re_path(r"^audit/?$", AuditViewSet.as_view({"get": "list"}), name="audit"),
]
