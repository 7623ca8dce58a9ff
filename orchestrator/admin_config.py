"""Django's admin with the product's admin site."""

from __future__ import annotations

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    """Configuration of Django's admin."""

    default_site = "orchestrator.admin_site.AdminSite"
