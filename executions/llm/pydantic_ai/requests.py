"""Conversion of the engine's requests to pydantic-ai: messages, tools and output format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue
from pydantic_ai.messages import BinaryContent, CachePoint, SystemPromptPart, UserContent, UserPromptPart
from pydantic_ai.messages import ModelRequest as ProviderRequest
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from executions.engine.domain.calls import Attachment, ModelRequest
from executions.engine.prompting.prompts import CLOSING_TAG, opening_tag
from executions.engine.prompting.replies import ask_schema
from executions.engine.prompting.submissions import ANSWER, ASK_CLARIFICATION, DOCUMENT, QUESTIONS, SUBMIT_DOCUMENT
from executions.llm.pydantic_ai.envelope import envelope
from executions.llm.pydantic_ai.options import Output

#: Providers that cache the start of prompts, including tools, and charge less for it the next time.
_PROMPT_CACHING = frozenset(
    {"anthropic", "openai", "openai-chat", "openai-responses", "google", "google-cloud", "bedrock"}
)
_ANY_DOCUMENT: dict[str, JsonValue] = {
    "type": "object",
    "properties": {DOCUMENT: {"type": "object", "description": "Valid against the JSON Schema that is given."}},
    "required": [DOCUMENT],
    "additionalProperties": False,
}

_BY_TOOL = f"""
# How you hand in

Call `{SUBMIT_DOCUMENT}` once, with what you hand in as its argument.
"""
_NO_TOOLS = """
# How you hand in

There are no tools here. Your whole answer is what you hand in, as one JSON object and nothing else.
"""
_NO_TOOLS_BUT_QUESTIONS = f"""
# How you hand in

There are no tools here. Your whole answer is one JSON object and nothing else: either
`{{"{ANSWER}": {{"{SUBMIT_DOCUMENT}": …}}}}` with the document, or, to ask a person first,
`{{"{ANSWER}": {{"{ASK_CLARIFICATION}": {{"{QUESTIONS}": […]}}}}}}`.
"""
_WITHOUT_TOOLS = frozenset({Output.NATIVE, Output.PROMPTED})


def output_of(request: ModelRequest, model: Model, *, wanted: Output | None) -> Output:
    """Return how this model returns its document.

    Args:
        request: The request.
        model: The model.
        wanted: The setting. None: the best way for the provider.
    """
    profile = model.profile
    has_tools, has_schemas = profile.get("supports_tools", True), profile.get("supports_json_schema_output", False)
    if wanted is Output.PROMPTED or not (has_tools or has_schemas):
        return Output.PROMPTED
    if not has_tools or (wanted is Output.NATIVE and has_schemas):
        return Output.NATIVE
    if wanted in {Output.SHARED_TOOLS, Output.TOOLS}:
        return wanted
    return Output.SHARED_TOOLS if wanted is None and _has_prompt_caching(request) else Output.TOOLS


def _has_prompt_caching(request: ModelRequest) -> bool:
    """Return whether the provider charges less for a cached start of a prompt; self-hosted servers charge nothing."""
    provider = request.model.partition(":")[0]
    return provider in _PROMPT_CACHING and not (provider.startswith("openai") and "OPENAI_BASE_URL" in os.environ)


def messages(request: ModelRequest, output: Output, files: Mapping[str, bytes]) -> ProviderRequest:
    """Return the messages: rules and prompt, with a cache point after the part that other prompts share.

    Files come before the text, and those of the brief before the shared part.

    Args:
        request: The request.
        output: How the model returns its document.
        files: The bytes of the request's attachments, by their SHA-256.
    """
    prompt: str | list[UserContent] = request.prompt
    if request.shared and output is Output.SHARED_TOOLS:
        blocks = [f"{block}\n\n" for block in request.shared]
        first = [each for each in request.attachments if each.is_shared]
        others = [each for each in request.attachments if not each.is_shared]
        rest = request.prompt[len("".join(blocks)) :]
        prompt = [*_contents(first, files), *blocks, CachePoint(), *_contents(others, files), rest]
    elif request.attachments:
        prompt = [*_contents(request.attachments, files), request.prompt]
    return ProviderRequest(
        parts=[SystemPromptPart(request.instructions + _output_rules(request, output)), UserPromptPart(prompt)]
    )


def _contents(attachments: Iterable[Attachment], files: Mapping[str, bytes]) -> Iterator[UserContent]:
    """Yield each file between tags of material, which have its name."""
    for each in attachments:
        yield f"{opening_tag('attached file', each.name)}\n"
        yield BinaryContent(data=files[each.sha256], media_type=each.media_type)
        yield f"\n{CLOSING_TAG}\n\n"


def _output_rules(request: ModelRequest, output: Output) -> str:
    """Return the rules for returning the document."""
    if output not in _WITHOUT_TOOLS:
        return _BY_TOOL
    return _NO_TOOLS_BUT_QUESTIONS if request.max_questions else _NO_TOOLS


def _reply_schema(request: ModelRequest) -> dict[str, JsonValue]:
    """Return the schema of a whole reply without tools."""
    if request.max_questions:
        return envelope(request.output_schema, max_questions=request.max_questions)
    return dict(request.output_schema)


def parameters(request: ModelRequest, output: Output) -> ModelRequestParameters:
    """Return the output format and the tools."""
    if output in _WITHOUT_TOOLS:
        document = OutputObjectDefinition(json_schema=_reply_schema(request), name=SUBMIT_DOCUMENT)
        return ModelRequestParameters(
            output_mode="native" if output is Output.NATIVE else "prompted",
            output_object=document,
            allow_text_output=True,
        )
    tools = [_submit(request, output)]
    if request.max_questions or (output is Output.SHARED_TOOLS and request.offers_questions):
        tools.append(_ASK)
    return ModelRequestParameters(output_mode="tool", output_tools=tools, allow_text_output=False)


def _submit(request: ModelRequest, output: Output) -> ToolDefinition:
    if output is Output.SHARED_TOOLS:
        return ToolDefinition(
            name=SUBMIT_DOCUMENT,
            description="Hand in the document.",
            parameters_json_schema=dict(_ANY_DOCUMENT),
            kind="output",
            strict=False,
        )
    return ToolDefinition(
        name=SUBMIT_DOCUMENT,
        description=f"Hand in the document `{request.document_type}`.",
        parameters_json_schema=dict(request.output_schema),
        kind="output",
    )


_ASK = ToolDefinition(
    name=ASK_CLARIFICATION,
    description="Ask a person, before the document is written.",
    parameters_json_schema=dict(ask_schema()),
    kind="output",
)
