"""The admin with a site of our own."""

from __future__ import annotations

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    """Configuration of Django's admin."""

    default_site = "orchestrator.admin_site.AdminSite"
