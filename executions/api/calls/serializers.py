"""Serializers of calls to models. Long texts are cut."""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api.serializers import ListedChoiceField, StrictSerializer, TimestampField, represent
from common.limits import limits
from executions.api.cost_serializers import StepCost
from executions.api.serializers import MAX_INTEGER, values
from executions.api.step_serializers import AttachmentResponse, ViolationResponse
from executions.engine.domain.calls import FinishReason, ModelReply
from executions.engine.domain.states import CallKind, CallStatus
from executions.engine.runtime.call_outcome import ReplyKind
from executions.engine.transitions.reviews import ReviewVerdict
from executions.services.prompts import ShownCall
from workflows.errors import storable


class CallFilters(StrictSerializer):
    """Filters of a list of calls."""

    step_id = serializers.CharField(max_length=200, required=False, help_text="`step`, or `step@key` for one item.")
    attempt = serializers.IntegerField(
        min_value=1, max_value=MAX_INTEGER, required=False, help_text="Number of the attempt, from 1."
    )
    kind = ListedChoiceField(choices=values(CallKind), required=False, help_text="Purpose of the call.")
    status = ListedChoiceField(choices=values(CallStatus), required=False, help_text="Status of the call.")


class CallResponse(StepCost):
    """A call to a model, with its usage and cost."""

    step_id = serializers.CharField()
    attempt = serializers.IntegerField(help_text="Number of the attempt, from 1.")
    prompt_exact = serializers.BooleanField(
        default=None,
        allow_null=True,
        help_text="true: the prompt, rebuilt from stored data, has the hash of the sent one. false: its inputs, or how "
        "prompts are built, have changed since. null: it was erased, or this page took too long: read the call.",
    )
    erased_at = TimestampField(allow_null=True, help_text="When prompt and reply were erased; null: they were not.")


class CallPromptResponse(serializers.Serializer[Any]):
    """The prompt of a call, rebuilt from stored data."""

    exact = serializers.BooleanField(
        source="is_exact",
        help_text="true: this prompt has the hash of the sent one. false: its inputs, or how prompts are built, have "
        "changed since.",
    )
    request_hash = serializers.CharField(source="call.request_hash", help_text="SHA-256 of the sent request.")
    instructions = serializers.SerializerMethodField()
    prompt = serializers.SerializerMethodField()
    attachments = AttachmentResponse(
        many=True, source="request.attachments", help_text="Files that the model got as they are, in order."
    )
    output_schema = serializers.DictField(source="request.output_schema")
    max_questions = serializers.IntegerField(
        source="request.max_questions", help_text="0: the model could not ask questions."
    )
    max_output_tokens = serializers.IntegerField(source="request.max_output_tokens")
    cut = serializers.SerializerMethodField()

    def get_instructions(self, prompt: Any) -> str:
        """Return the instructions, cut to `MAX_CALL_CHARACTERS`."""
        return _shown(prompt.request.instructions)

    def get_prompt(self, prompt: Any) -> str:
        """Return the text of the prompt, cut to `MAX_CALL_CHARACTERS`."""
        return _shown(prompt.request.prompt)

    def get_cut(self, prompt: Any) -> bool:
        """Return whether one of the texts was cut."""
        return any(map(_is_too_long, (prompt.request.instructions, prompt.request.prompt)))


class ToolCallResponse(serializers.Serializer[Any]):
    """A call of a tool, by which a model hands in a document or asks questions."""

    name = serializers.CharField()
    arguments = serializers.JSONField(help_text="Its JSON; a text if the model's was not JSON, or is cut.")


class CallReplyResponse(serializers.Serializer[Any]):
    """The reply of a model."""

    finish_reason = serializers.ChoiceField(choices=values(FinishReason))
    text = serializers.CharField(allow_blank=True)
    tool_calls = ToolCallResponse(many=True)
    provider_request_id = serializers.CharField(allow_blank=True)
    cut = serializers.BooleanField(help_text="Whether texts were cut to `MAX_CALL_CHARACTERS` in all.")


class CallDetails(serializers.Serializer[Any]):
    """A call to a model: its prompt, its reply, and what was found wrong in it."""

    prompt = CallPromptResponse(allow_null=True, help_text="null: it was erased, or a document that it showed.")
    reply = serializers.SerializerMethodField()
    reply_kind = serializers.ChoiceField(
        source="outcome.kind",
        default=None,
        choices=values(ReplyKind),
        allow_null=True,
        help_text="What the reply is; null: there is none.",
    )
    violations = ViolationResponse(
        source="outcome.violations", default=(), many=True, help_text="Errors that the rules of the step found."
    )
    verdict = serializers.ChoiceField(
        source="outcome.verdict",
        default=None,
        choices=values(ReviewVerdict),
        allow_null=True,
        help_text="Of the reviewer of this document; of a review, its own. null: there was no review.",
    )
    findings = ViolationResponse(
        source="outcome.findings",
        default=(),
        many=True,
        help_text="By that reviewer, or by a person who requested changes.",
    )

    def to_representation(self, instance: ShownCall) -> dict[str, Any]:
        """Return the row of the ledger and all else in one object."""
        instance.row.prompt_exact = None if instance.prompt is None else instance.prompt.is_exact
        return {**represent(CallResponse, instance.row), **super().to_representation(instance)}

    @extend_schema_field(CallReplyResponse(allow_null=True))
    def get_reply(self, shown: ShownCall) -> dict[str, Any] | None:
        """Return the reply; null: there is none, or it was erased."""
        return None if shown.reply is None else represent(CallReplyResponse, _reply(shown.reply))


class CallDetailsResponse(CallResponse, CallDetails):
    """A call to a model: its prompt, its reply, and what was found wrong in it."""


def _shown(text: str) -> str:
    """Return a text as JSON can hold it, cut to the limit."""
    return storable(f"{text[: limits().call_characters]}…" if _is_too_long(text) else text)


def _is_too_long(text: str) -> bool:
    return len(text) > limits().call_characters


_AROUND_CALL = 100  # characters that a call of a tool takes beside its name and its arguments


def _reply(reply: ModelReply) -> dict[str, Any]:
    """Return a reply whose texts together are cut to the limit."""
    left, tool_calls = limits().call_characters - len(reply.text), []
    is_cut = left < 0
    for each in reply.tool_calls:
        name, text = storable(each.name), storable(json.dumps(each.arguments, ensure_ascii=False))
        left -= len(name) + _AROUND_CALL
        if left <= 0:
            is_cut = True
            break
        if len(text) > left:
            is_cut = True
            tool_calls.append({"name": name, "arguments": f"{text[:left]}…"})
            break
        tool_calls.append({"name": name, "arguments": json.loads(text)})
        left -= len(text)
    return {
        "finish_reason": reply.finish_reason.value,
        "text": _shown(reply.text),
        "tool_calls": tool_calls,
        "provider_request_id": storable(reply.provider_request_id),
        "cut": is_cut,
    }
