"""Base classes of read-only admin pages."""

from __future__ import annotations

import json

from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline


class _ReadOnly:
    """Denies the permissions to add, change and delete."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Return False."""
        return False


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):
    """A read-only page: the product alone writes these rows."""


class ReadOnlyInline(_ReadOnly, TabularInline):
    """A read-only table: the product alone writes these rows."""

    extra = 0
    can_delete = False


def pretty(value: object) -> str:
    """Return a value as indented JSON, escaped for HTML."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre style="white-space: pre-wrap; max-width: 70rem">{}</pre>', text)
