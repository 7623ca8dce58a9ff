"""Words for calls, for people."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from executions.engine.domain.states import CallKind, CallStatus, Limit
from executions.engine.runtime.call_outcome import ReplyKind

KINDS = {
    CallKind.GENERATE: gettext_lazy("first version"),
    CallKind.REMEDIATE: gettext_lazy("correction"),
    CallKind.CLARIFY: gettext_lazy("with the answers"),
    CallKind.REVIEW: gettext_lazy("review"),
}
STATUSES = {
    CallStatus.PENDING: gettext_lazy("pending"),
    CallStatus.COMMITTED: gettext_lazy("committed"),
    CallStatus.DISCARDED: gettext_lazy("discarded"),
    CallStatus.FAILED: gettext_lazy("failed"),
    CallStatus.UNKNOWN: gettext_lazy("unknown"),
}
#: What each status means.
MEANINGS = {
    CallStatus.PENDING: gettext_lazy("The call is under way."),
    CallStatus.COMMITTED: gettext_lazy("The provider replied, and the reply was used."),
    CallStatus.DISCARDED: gettext_lazy("The reply was no longer needed."),
    CallStatus.FAILED: gettext_lazy("The provider rejected the call, or it failed."),
    CallStatus.UNKNOWN: gettext_lazy("Its outcome is unknown. The provider may have charged for it."),
}
REPLIES = {
    ReplyKind.DOCUMENT: gettext_lazy("a document"),
    ReplyKind.QUESTIONS: gettext_lazy("questions"),
    ReplyKind.VERDICT: gettext_lazy("a verdict"),
    ReplyKind.INVALID: gettext_lazy("an invalid document"),
    ReplyKind.UNUSABLE: gettext_lazy("nothing that can be used"),
}
LIMITS = {
    Limit.COST: gettext_lazy("US dollars"),
    Limit.TOKENS: gettext_lazy("Tokens"),
    Limit.CALLS: gettext_lazy("Calls"),
    Limit.SECONDS: gettext_lazy("Seconds of running time"),
    Limit.SCOPE_MONTH: gettext_lazy("Monthly budget of the scope"),
}
