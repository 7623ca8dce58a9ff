"""Why a log-in by single sign-on failed. The log has the detail; the page of the log-in shows a sentence."""

from __future__ import annotations

from enum import StrEnum

from django.utils.translation import gettext_noop


class Fault(StrEnum):
    """The kind of a failed log-in, as the address of the page of the log-in has it."""

    DENIED = "denied"
    STATE = "state"
    UNREACHABLE = "unreachable"
    CLOCK = "clock"
    REFUSED = "refused"
    GROUPS = "groups"
    INACTIVE = "inactive"


_SENTENCES = {
    Fault.DENIED: gettext_noop("The log-in was cancelled at the provider."),
    Fault.STATE: gettext_noop("This log-in took too long, or began in another browser. Begin again."),
    Fault.UNREACHABLE: gettext_noop(
        "The provider of single sign-on cannot be reached, or answers wrongly. Try again in a moment."
    ),
    Fault.CLOCK: gettext_noop(
        "The clocks of the provider and of this server differ. An administrator has to set them."
    ),
    Fault.REFUSED: gettext_noop(
        "The provider and this server did not agree on who you are. Begin again; an administrator finds the "
        "reason in the log."
    ),
    Fault.GROUPS: gettext_noop(
        "You are in more groups than the provider sends. An administrator has to limit what it sends."
    ),
    Fault.INACTIVE: gettext_noop("Your account here is deactivated."),
}


class LoginFailed(Exception):
    """A log-in by single sign-on failed."""

    def __init__(self, fault: Fault, detail: str) -> None:
        """Keep the kind, and the detail.

        Args:
            fault: What the person is told.
            detail: What the log says; it holds no secret.
        """
        super().__init__(detail)
        self.fault, self.detail = fault, detail


def sentence_of(name: str) -> str:
    """Return the sentence for the name of a fault; empty if there is no such fault."""
    return next((sentence for fault, sentence in _SENTENCES.items() if fault == name), "")
