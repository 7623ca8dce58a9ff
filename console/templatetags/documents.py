"""Tags of the form in which a person edits the content of a document."""

from __future__ import annotations

from django import template
from django.forms.utils import flatatt
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.content_form import ContentField

register = template.Library()


@register.simple_tag
def control_attributes(field: ContentField, within: ContentField | None = None) -> SafeString:
    """Return what a control of a field says to people who hear the page. `within` is the list of an item."""
    given: dict[str, str] = {}
    if field.is_item:
        label = within.label if within else ""
        given["aria-label"] = gettext("%(label)s, item") % {"label": label} if label else gettext("Item")
    if field.errors:
        given["aria-invalid"] = "true"
    if field.described_by:
        given["aria-describedby"] = field.described_by
    return flatatt(given)
