"""The reasons of refusals and incomplete replies: the provider's reason, never the text that was cut off."""

from __future__ import annotations

from pydantic_ai.messages import ModelResponse, TextPart

FILTERED = "content_filter"  # finish reason of filtered replies, for every provider
_REASON_FIELDS = ("refusal", "block_reason_message")  # fields of the details that contain a sentence
_NAME_FIELDS = ("finish_reason", "block_reason", "refusal_category")  # fields of the details that contain a name


def text_of(response: ModelResponse) -> str:
    """Return the text of a reply."""
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


def is_refused(response: ModelResponse) -> bool:
    """Return whether the model or the provider's content filter has refused."""
    return response.finish_reason == FILTERED


def reason(response: ModelResponse) -> str:
    """Return the reason of a refusal: the provider's sentence, or a sentence with the filter's name."""
    details = response.provider_details or {}
    sentences = [text for name in _REASON_FIELDS if isinstance(text := details.get(name), str) and text.strip()]
    if sentences:
        return sentences[0].strip()
    names = dict.fromkeys(str(details[name])[:80] for name in _NAME_FIELDS if details.get(name))
    names.pop(FILTERED, None)
    subject = "prompt" if details.get("block_reason") else "answer"
    by_name = f" ({', '.join(names)})" if names else ""
    return f"The provider's content filter stopped the {subject}{by_name}."
