"""The users of this installation. Other rooms may name the class; its rows are written by `services`."""

from __future__ import annotations

import re

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models

from access.permissions import TokenLimits
from common.time import time_zones

#: A language tag by its form (RFC 5646, section 2.1), without the irregular ones that are kept for old texts.
_LANGUAGE_TAG = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})"  # language, with extensions
    r"(?:-[a-z]{4})?"  # script
    r"(?:-(?:[a-z]{2}|[0-9]{3}))?"  # region
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"  # variants
    r"(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*"  # extensions
    r"(?:-x(?:-[a-z0-9]{1,8})+)?",  # private use
    re.IGNORECASE,
)


class User(AbstractUser):
    """A person or a program that logs in, with the time zone and the language that texts for it go by."""

    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Name in the IANA time zone database, such as Europe/Berlin."
    )
    language = models.CharField(
        max_length=35,  # what RFC 5646, section 4.4.1, has a program expect
        default="en",
        help_text="Language tag (BCP 47), such as en or pt-BR.",
    )
    is_author = models.BooleanField(
        "author", default=False, db_default=False, help_text="May publish and retire workflows, and try candidates."
    )

    email_verified_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When staff entered the address, or the identity provider verified it. Empty: it does not count.",
    )

    #: Limits of the token that this user has authenticated with; None: a session, or no request.
    token_limits: TokenLimits | None = None

    def clean(self) -> None:
        """Bring the e-mail address and the name into their one form.

        Raises:
            ValidationError: the time zone is in no IANA database of this machine, or the language is no language tag.
        """
        super().clean()
        if self.time_zone not in time_zones():
            raise ValidationError({"time_zone": "This is no name of the IANA time zone database."})
        if not _LANGUAGE_TAG.fullmatch(self.language):
            raise ValidationError({"language": "This is no language tag (BCP 47)."})
