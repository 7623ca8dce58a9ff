"""Paths of scopes and of the audit log. No type of a scope is `-`. The key of a scope may contain slashes."""

from __future__ import annotations

from django.urls import path, re_path

from console.scopes import audit_pages, pages, people_pages

_SCOPE = r"(?P<scope_type>[^/]+)/(?P<scope_id>(?s:.+))/$"
urlpatterns = [
    path("scopes/", pages.listing, name="scopes"),
    path("scopes/-/budget/", pages.set_budget, name="scope-budget"),
    path("scopes/-/roles/", people_pages.give_role, name="give-role"),
    path("scopes/-/roles/take/", people_pages.take_role, name="take-role"),
    path("scopes/-/invitations/", people_pages.invite, name="invite"),
    path("scopes/-/invitations/<uuid:invitation_id>/", people_pages.withdraw, name="withdraw-invitation"),
    re_path(rf"^scopes/-/people/{_SCOPE}", people_pages.people, name="scope-people"),
    re_path(rf"^scopes/-/parts/waiting/{_SCOPE}", pages.waiting, name="part-scope-waiting"),
    re_path(rf"^scopes/-/parts/audit/{_SCOPE}", audit_pages.newest, name="part-scope-audit"),
    re_path(rf"^scopes/{_SCOPE}", pages.scope, name="scope"),
    path("audit/", audit_pages.log, name="audit"),
]
