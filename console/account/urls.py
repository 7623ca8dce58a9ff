"""Paths of a user's own account."""

from __future__ import annotations

from django.urls import path

from console.account import pages

urlpatterns = [
    path("account/", pages.account, name="account"),
    path("account/profile/", pages.profile, name="profile"),
    path("account/password/", pages.password, name="password"),
    path("account/tokens/", pages.make_token, name="make-token"),
    path("account/tokens/<uuid:token_id>/", pages.revoke_token, name="revoke-token"),
    path("account/sessions/<uuid:session_id>/", pages.end_session, name="end-session"),
]
