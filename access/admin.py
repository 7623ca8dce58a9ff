"""Scopes and roles in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from access.models import Scope, ScopeRole


class ScopeRoleInline(TabularInline):
    """Roles are added and removed, never changed: so no two editors overwrite each other."""

    model = ScopeRole
    extra = 0
    autocomplete_fields = ("user",)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse changes."""
        return False


@admin.register(Scope)
class ScopeAdmin(ModelAdmin):
    """Where documents live, and who may do what there."""

    list_display = ("type", "key", "parent", "created_at")
    list_filter = ("type",)
    search_fields = ("key",)
    readonly_fields = ("id", "type", "key", "parent", "root", "created_at")
    ordering = ("type", "key", "id")
    inlines = (ScopeRoleInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: scopes come with their first use."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: documents hang on them."""
        return False
