"""Admin pages of scopes, roles, users, groups and tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from knox.admin import AuthTokenAdmin as KnoxTokenAdmin
from knox.models import AuthToken
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.audit import Act, record, right_part
from access.models import AuditEntry, ExternalAccount, Scope, ScopeRole
from access.services import keep_rights, set_active
from access.user import User
from common.admin import LongList, ReadOnlyAdmin, link, links, list_of, row_link, short
from common.database.server import database_now

#: Rights of the whole installation, and their columns of the user.
_RIGHTS: Mapping[Literal["staff", "author", "superuser"], str] = {
    "staff": "is_staff",
    "author": "is_author",
    "superuser": "is_superuser",
}


class ScopeRoleInline(TabularInline):
    """Roles are added and removed, never changed, so that editors cannot overwrite each other's changes."""

    model = ScopeRole
    extra = 0
    autocomplete_fields = ("user",)
    readonly_fields = ("by_group", "by_hand")

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False


class RootFilter(admin.SimpleListFilter):
    """Filters root scopes."""

    title = "root"
    parameter_name = "is_root"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """Return the options."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Scope]) -> QuerySet[Scope]:
        """Return the scopes of the selected option."""
        return queryset if self.value() is None else queryset.filter(parent__isnull=self.value() == "yes")


@admin.register(Scope)
class ScopeAdmin(ModelAdmin):
    """Scopes of documents, and the roles of users in them."""

    list_display = ("name", "of_parent", "created_at", "console_page")
    list_filter = ("type", RootFilter)
    search_fields = ("key",)
    fields = ("id", "type", "key", "of_parent", "of_root", "created_at", "lists")
    readonly_fields = fields
    ordering = ("-id",)  # the newest first
    inlines = (ScopeRoleInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Scope]:
        """Return all scopes with the scopes above them."""
        rows: QuerySet[Scope] = super().get_queryset(request)
        return rows.select_related("parent", "root")

    def get_inlines(self, request: HttpRequest, obj: Scope | None) -> list[type[TabularInline]]:
        """Return the roles of a root scope. A role in a scope below would have no effect."""
        return [ScopeRoleInline] if obj is None or obj.parent_id is None else []

    def view_on_site(self, row: Scope) -> str:
        """Return the address of the root scope's page in the console."""
        root = row.root or row
        return reverse("console:scope", args=[root.type, root.key])

    @admin.display(description="scope", ordering="key")
    def name(self, row: Scope) -> str:
        """Return type and key."""
        return str(row)

    @admin.display(description="part of", ordering="parent")
    def of_parent(self, row: Scope) -> SafeString | str:
        """Return a link to the scope above."""
        return "-" if row.parent is None else row_link(row.parent)

    @admin.display(description="root")
    def of_root(self, row: Scope) -> SafeString | str:
        """Return a link to the root scope."""
        return "-" if row.root is None else row_link(row.root)

    @admin.display(description="console")
    def console_page(self, row: Scope) -> SafeString:
        """Return a link to the page in the console."""
        return link(self.view_on_site(row), "open")

    @admin.display(description="lists")
    def lists(self, row: Scope) -> SafeString:
        """Return links to everything of the scope."""
        named = urlencode({"scope_type": row.type, "scope_id": row.key})
        below = [(list_of("access.scope", parent__id__exact=row.id), "Scopes below")]
        if row.parent_id is not None:
            mine = list_of("documents.document", scope__id__exact=row.id)
            return links([(self.view_on_site(row), "Page in the console"), (mine, "Documents"), *below])
        found = [
            (self.view_on_site(row), "Page in the console"),
            (list_of("executions.execution", scope__id__exact=row.id), "Executions"),
            (list_of("documents.document", root__id__exact=row.id), "Documents"),
            (list_of("telemetry.scopebudget", scope__id__exact=row.id), "Budget"),
            (list_of("telemetry.modelcall", scope__id__exact=row.id), "Calls"),
            (f"{reverse('console:costs')}?{named}", "Costs"),
        ]
        return links([*found, *below])

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: a scope is created by its first use."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False: documents refer to scopes."""
        return False


@admin.register(ExternalAccount)
class ExternalAccountAdmin(ModelAdmin):
    """Who logs in as which user by single sign-on. An existing user is linked here, never by an e-mail address."""

    list_display = ("user", "issuer", "subject", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "subject")
    autocomplete_fields = ("user",)
    readonly_fields = ("rights_by_group", "created_at")
    ordering = ("issuer", "subject")


for model in (Group, AuthToken):  # registered by Django and knox
    admin.site.unregister(model)
if settings.OIDC_ENABLED:  # the tables of its library stay empty
    for label in ("account", "socialaccount"):
        for model in filter(admin.site.is_registered, apps.get_app_config(label).get_models()):
            admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """Users. They are deactivated instead of deleted, which keeps their roles and log entries."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_staff")
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        ("Time zone and language", {"fields": ("time_zone", "language")}),
        ("Verified address", {"fields": ("email_verified_at",)}),
        ("Workflows", {"fields": ("is_author",)}),
    )
    readonly_fields = ("email_verified_at",)
    actions = ("deactivate", "activate")

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False: roles and log entries refer to users."""
        return False

    def save_model(self, request: HttpRequest, *arguments: Any) -> None:
        """Store a user. An address that staff enter counts as verified."""
        user, form = arguments[:2]
        if "email" in form.changed_data:
            user.email_verified_at = database_now() if user.email else None
        changed = [right for right, column in _RIGHTS.items() if column in form.changed_data]
        keep_rights(user.username, changed)
        super().save_model(request, *arguments)
        for right in changed:
            given = bool(getattr(user, _RIGHTS[right]))
            record(Act.USER_CHANGE, "user", user.pk, part=right_part(right, given=given))
        if "is_active" in form.changed_data:
            record(Act.USER_ACTIVATE if user.is_active else Act.USER_DEACTIVATE, "user", user.pk)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Change the password of a user, and record it."""
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def log_change(self, request: HttpRequest, obj: User, message: object) -> LogEntry:
        """Log a change. That of a password has no other hook."""
        if request.resolver_match is not None and request.resolver_match.url_name == "auth_user_password_change":
            record(Act.PASSWORD_CHANGE, "user", obj.pk)
        entry: LogEntry = super().log_change(request, obj, message)
        return entry

    @admin.action(description="Deactivate selected users", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Prevent the users from logging in and from using their tokens; their data is kept."""
        ids = set(queryset.values_list("pk", flat=True))
        if request.user.pk in ids:
            self.message_user(request, "You cannot deactivate yourself.", messages.ERROR)
        self._set(request, ids - {request.user.pk}, is_active=False)

    @admin.action(description="Activate selected users", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Allow the users to log in again."""
        self._set(request, set(queryset.values_list("pk", flat=True)), is_active=True)

    def _set(self, request: HttpRequest, ids: set[int], *, is_active: bool) -> None:
        changed = set_active(ids, is_active=is_active)
        for user in changed:
            self.log_change(request, user, "Activated." if is_active else "Deactivated.")
        number = f"{len(changed)} user is" if len(changed) == 1 else f"{len(changed)} users are"
        self.message_user(request, f"{number} {'active again' if is_active else 'deactivated'}.", messages.SUCCESS)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Groups of users and their permissions in the admin."""


@admin.register(AuthToken)
class TokenAdmin(KnoxTokenAdmin, ModelAdmin):
    """API tokens: created, displayed once, and deleted; only their expiry can be changed."""

    raw_id_fields = ()
    autocomplete_fields = ("user",)
    list_display = ("begin", "user", "created", "expiry")
    list_select_related = ("user",)
    search_fields = ("token_key", "user__username")
    ordering = ("-created", "digest")

    def get_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> tuple[str, ...]:
        """Return the fields, without the digest."""
        return ("user", "expiry") if obj is None else ("begin", "user", "created", "expiry")

    def get_readonly_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> tuple[str, ...]:
        """Return all fields but the expiry for an existing token."""
        return () if obj is None else ("begin", "user", "created")

    @admin.display(description="token", ordering="token_key")
    def begin(self, row: AuthToken) -> str:
        """Return the first characters of the token, by which its owner recognizes it."""
        return f"{row.token_key}…"


#: Pages of what acts are about, by the kind of subject.
_PAGES = {
    "execution": "admin:executions_execution_change",
    "document": "admin:documents_document_change",
    "scope": "admin:access_scope_change",
    "user": "admin:access_user_change",
    "workflow": "admin:workflows_workflow_change",
}
_SHORT_ID = 12


class ActFilter(admin.SimpleListFilter):
    """Filters by act, without reading which acts there are."""

    title = "act"
    parameter_name = "act"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """Return the options."""
        return [(each.value, each.value) for each in Act]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return the entries of the selected act."""
        return queryset if self.value() is None else queryset.filter(act=self.value())


@admin.register(AuditEntry)
class AuditEntryAdmin(LongList, ReadOnlyAdmin):
    """The audit log."""

    list_display = ("at", "act", "who", "via", "subject", "part", "version", "address")
    list_filter = (ActFilter, "at")
    search_fields = ("subject_id__exact",)
    ordering = ("-at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Return all entries with the names of users."""
        rows: QuerySet[AuditEntry] = super().get_queryset(request)
        return rows.annotate(username=Subquery(User.objects.filter(pk=OuterRef("user_id")).values("username")))

    @admin.display(description="user", ordering="user_id")
    def who(self, row: AuditEntry) -> SafeString | str:
        """Return a link to the user; a dash if no user did it."""
        if row.user_id is None:
            return "-"
        name = getattr(row, "username", None) or f"{row.user_id}, deleted"
        return link(reverse("admin:access_user_change", args=[row.user_id]), name)

    @admin.display(description="about", ordering="subject_id")
    def subject(self, row: AuditEntry) -> SafeString:
        """Return the kind of what the act is about, and the end of its id, with a link where it has a page."""
        page = _PAGES.get(row.subject_kind)
        shown = short(row.subject_id) if len(row.subject_id) > _SHORT_ID else row.subject_id
        return format_html(
            "{} {}", row.subject_kind, link(reverse(page, args=[row.subject_id]), shown) if page else shown
        )
