"""Scopes and roles, users, groups and tokens in the admin."""

from __future__ import annotations

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from knox.admin import AuthTokenAdmin as KnoxTokenAdmin
from knox.models import AuthToken
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import Scope, ScopeRole
from access.services import set_active
from access.user import User


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
    list_select_related = ("parent",)  # it may be none: Django follows such a reference only by its name
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


for theirs in (Group, AuthToken):
    admin.site.unregister(theirs)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """People. They are deactivated and not deleted: their roles, and what they did, stay on record."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_staff")
    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), ("Time zone and language", {"fields": ("time_zone", "language")}))
    actions = ("deactivate", "activate")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Refuse: roles and entries of logs hang on users."""
        return False

    @admin.action(description="Deactivate selected users", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Have the users log in no more, nor use their tokens; what belongs to them stays."""
        ids = set(queryset.values_list("pk", flat=True))
        if request.user.pk in ids:
            self.message_user(request, "You cannot deactivate yourself.", messages.ERROR)
        self._set(request, ids - {request.user.pk}, is_active=False)

    @admin.action(description="Activate selected users", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let the users log in again."""
        self._set(request, set(queryset.values_list("pk", flat=True)), is_active=True)

    def _set(self, request: HttpRequest, ids: set[int], *, is_active: bool) -> None:
        changed = set_active(ids, is_active=is_active)
        for user in changed:
            self.log_change(request, user, "Activated." if is_active else "Deactivated.")
        number = f"{len(changed)} user is" if len(changed) == 1 else f"{len(changed)} users are"
        self.message_user(request, f"{number} {'active again' if is_active else 'deactivated'}.", messages.SUCCESS)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups of users, and what they may do in the admin."""


@admin.register(AuthToken)
class TokenAdmin(KnoxTokenAdmin, ModelAdmin):
    """Tokens of the API: made, shown once, and taken away; none is changed but in its end."""

    raw_id_fields = ()
    autocomplete_fields = ("user",)
    ordering = ("-created", "digest")

    def get_readonly_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> tuple[str, ...]:
        """Return all but the end, of a token that is there."""
        return () if obj is None else ("digest", "token_key", "user", "created")
