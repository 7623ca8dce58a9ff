"""Calls to real models through pydantic-ai."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import httpx
from pydantic import JsonValue, TypeAdapter
from pydantic_ai import exceptions
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import infer_provider
from pydantic_ai.settings import ModelSettings

from common.database.server import database_now
from executions.engine.domain.calls import FinishReason, ModelReply, ModelRequest, ToolCall, Usage
from executions.engine.domain.errors import ModelError
from executions.engine.domain.retries import sentence
from executions.engine.domain.states import FailureCode
from executions.engine.ports import OnText
from executions.llm.known_providers import is_known
from executions.llm.lazy_import import run_in_loader
from executions.llm.pydantic_ai import failures, refusals, transport
from executions.llm.pydantic_ai.connections import make_provider
from executions.llm.pydantic_ai.endings import has_ended
from executions.llm.pydantic_ai.extras import Extras
from executions.llm.pydantic_ai.options import Options
from executions.llm.pydantic_ai.requests import messages, output_of, parameters
from executions.llm.usage.transcript import Transcript, begin, current, reading_client
from executions.llm.usage.usage import bill
from telemetry.price_list import Billing
from telemetry.pricing import prices
from workflows.errors import storable

#: Providers whose clients are made here and never retry. Other clients are told so with each request.
_OWN_CLIENTS = frozenset({"anthropic", "openai", "openai-chat", "openai-responses"})
_MAX_CACHED_MODELS = 64  # models
_MAX_NAME = 200  # maximum characters of model names and request ids that a provider returns
_JSON: TypeAdapter[object] = TypeAdapter(object)
_FINISH = {"length": FinishReason.TRUNCATED, "content_filter": FinishReason.REFUSED}


class ProviderModel:
    """Calls a provider once. Retries are not made here, because they might be paid twice.

    The first call to a provider waits until its library is loaded; the call's time limit starts after that.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._extras = Extras()

    async def complete(
        self, request: ModelRequest, on_text: OnText, *, files: Mapping[str, bytes] | None = None
    ) -> ModelReply:
        """Return the reply with usage and cost; `on_text` gets streamed text as it arrives.

        Args:
            request: The request.
            on_text: Gets each piece of text.
            files: The bytes of the request's attachments, by their SHA-256.

        Raises:
            ModelError: the model could not be called, or did not reply within the request's `timeout_seconds`.
        """
        try:
            model = _models.get(request.model)
            if model is None:
                model = await run_in_loader(_load_model, request.model)
            started, asked_at = time.monotonic(), database_now()
            async with asyncio.timeout(request.timeout_seconds):
                response = await self._response(model, request, on_text, files=files or {})
        except TimeoutError as error:
            raise failures.timeout_error(request.model, request.timeout_seconds) from error
        except exceptions.ContentFilterError as error:
            raise ModelError(FailureCode.MODEL_REFUSED, failures.message_of(error)) from error
        except exceptions.ModelAPIError as error:
            raise failures.failure_of(request.model, error) from error
        # no API key, an unknown provider, or its library is not installed
        except (exceptions.UserError, ImportError) as error:
            problem = sentence(f"{request.model} cannot be called: {failures.message_of(error)}")
            message = f"{problem} Check the step's model and the provider's API key."
            raise ModelError(FailureCode.PROVIDER_REJECTED, message) from error
        latency_ms = round((time.monotonic() - started) * 1000)
        return _reply(request, response, current(), asked_at=asked_at, latency_ms=latency_ms)

    async def _response(
        self, model: Model, request: ModelRequest, on_text: OnText, *, files: Mapping[str, bytes]
    ) -> ModelResponse:
        while True:
            rejected = self._extras.refused(request.model)
            begin()  # the transcript of a rejected request does not belong to the next one
            try:
                return await self._send(model, request, on_text, files=files)
            except exceptions.ModelHTTPError as error:
                self._extras.note(request.model, error)
                if self._extras.refused(request.model) == rejected:
                    raise  # retried without the rejected parameters; a rejected request costs nothing

    async def _send(
        self, model: Model, request: ModelRequest, on_text: OnText, *, files: Mapping[str, bytes]
    ) -> ModelResponse:
        output = output_of(request, model, wanted=self._options.output)
        history: list[ModelMessage] = [messages(request, output, files)]
        settings, params = self._settings(request, model), parameters(request, output)
        with _readable(request.model):
            if not self._options.streaming:
                return await model_request(model, history, model_settings=settings, model_request_parameters=params)
            opening = model_request_stream(model, history, model_settings=settings, model_request_parameters=params)
            async with self._first_token_timeout(request) as first_token_timeout, opening as stream:
                async for event in stream:
                    first_token_timeout.reschedule(None)
                    if text := _text(event):
                        on_text(text)
                response = stream.get()
        if not has_ended(response):
            raise failures.truncated_stream(request.model)
        return response

    @asynccontextmanager
    async def _first_token_timeout(self, request: ModelRequest) -> AsyncIterator[asyncio.Timeout]:
        timeout = asyncio.timeout(self._options.first_token_seconds)
        try:
            async with timeout:
                yield timeout
        except TimeoutError as error:
            if not timeout.expired():
                raise  # the time limit of the whole call has passed
            raise failures.first_token_timeout(request.model, self._options.first_token_seconds) from error

    def _settings(self, request: ModelRequest, model: Model) -> ModelSettings:
        total_seconds = float(request.timeout_seconds)
        settings = ModelSettings(max_tokens=request.max_output_tokens, timeout=total_seconds)
        if request.model.partition(":")[0] in _OWN_CLIENTS:
            settings["timeout"] = httpx.Timeout(total_seconds, connect=self._options.connect_seconds)
        elif "max_retries" not in model.unsupported_settings:
            settings["max_retries"] = 0
        self._extras.add_to(settings, name=request.model, model=model)
        return settings


#: Exceptions in which a library ends if a reply does not match the provider's API: missing fields, other types.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, Warning)


@contextmanager
def _readable(model: str) -> Iterator[None]:
    """Turn parse errors of a reply into a retryable model error, so that they are not treated as bugs."""
    try:
        yield
    except (exceptions.UnexpectedModelBehavior, *_UNREADABLE) as error:
        if isinstance(error, exceptions.ContentFilterError):
            raise
        raise failures.unreadable_reply(model, error) from error


def _text(event: ModelResponseStreamEvent) -> str:
    """Return new text of the reply, or of the arguments of a tool."""
    match event:
        case PartStartEvent(part=TextPart(content=str() as text)):
            return text
        case PartStartEvent(part=ToolCallPart(args=str() as text)):
            return text
        case PartStartEvent(part=ToolCallPart(args=dict() as arguments)):  # some providers send complete arguments
            return json.dumps(arguments, ensure_ascii=False)
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str() as text)):
            return text
    return ""


_models: dict[str, Model] = {}  # by name


def _load_model(name: str) -> Model:
    """Return a cached model. The first model of a provider loads its library."""
    if name not in _models:
        if len(_models) >= _MAX_CACHED_MODELS:
            _models.clear()
        _models[name] = _model(name)
    return _models[name]


def _model(name: str) -> Model:
    """Return a model with a client that never retries."""
    provider, _, model = name.partition(":")
    if provider == "anthropic":
        return _anthropic(model)
    if provider in _OWN_CLIENTS:
        # Servers that are compatible with OpenAI support its chat API.
        is_chat = provider == "openai-chat" or (provider == "openai" and "OPENAI_BASE_URL" in os.environ)
        return _openai(model, is_chat=is_chat)
    return infer_model(name, make_provider if is_known(name) else infer_provider)


# A provider's library takes up to a second to import, so each function imports only its own.


def _anthropic(model: str) -> Model:
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # noqa: PLC0415
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    http = reading_client(DefaultAsyncHttpxClient, event_hooks={"response": [transport.on_response]})
    client = AsyncAnthropic(api_key=_key("ANTHROPIC"), max_retries=0, http_client=http)
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


def _openai(model: str, *, is_chat: bool) -> Model:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIResponsesModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    from executions.llm.pydantic_ai.chat import ChatModel  # noqa: PLC0415

    if not is_chat:
        from openai.types.responses import Response  # noqa: PLC0415

        Response.model_rebuild()  # in the loader thread; otherwise the first reply would build it on the event loop
    http = reading_client(DefaultAsyncHttpxClient, event_hooks={"response": [transport.on_response]})
    client = AsyncOpenAI(api_key=_key("OPENAI"), max_retries=0, http_client=http)
    kind = ChatModel if is_chat else OpenAIResponsesModel
    return kind(model, provider=OpenAIProvider(openai_client=client))


def _key(provider: str) -> str:
    """Return a provider's API key; a self-hosted server at another address may need none.

    Raises:
        UserError: there is no key.
    """
    if key := os.environ.get(f"{provider}_API_KEY", "").strip():
        if not (key.isascii() and key.isprintable()):
            raise exceptions.UserError(f"{provider}_API_KEY contains characters that are not valid in a key.")
        return key
    if f"{provider}_BASE_URL" in os.environ:
        return "none"
    raise exceptions.UserError(f"{provider}_API_KEY is not set.")


def _reply(
    request: ModelRequest, response: ModelResponse, transcript: Transcript, *, asked_at: datetime, latency_ms: int
) -> ModelReply:
    billing = bill(response, transcript)
    provider = response.provider_name or request.model.partition(":")[0]
    model = _shortened(response.model_name) or request.model.partition(":")[2]
    usage = billing.usage or Usage()
    text, refused = refusals.text_of(response), refusals.is_refused(response)
    raw = {
        "usage": billing.received,
        "details": response.provider_details,
        **({"text": text} if refused and text else {}),
    }
    cost = prices.price(
        provider=provider,
        model=model,
        requested=request.model,
        **usage.model_dump(exclude={"reasoning_tokens"}),
        billing=Billing.model_validate(billing.billing),
        at=asked_at,
    )
    return ModelReply(
        provider=provider,
        model=model,
        usage_known=billing.usage is not None,
        tool_calls=tuple(
            ToolCall(name=part.tool_name, arguments=_storable_arguments(part.args))
            for part in response.parts
            if isinstance(part, ToolCallPart)
        ),
        text=refusals.reason(response) if refused else text,
        finish_reason=_FINISH.get(response.finish_reason or "", FinishReason.STOP),
        usage=usage,
        billing=billing.billing,
        cost_usd=cost,
        provider_request_id=_shortened(response.provider_response_id),
        latency_ms=latency_ms,
        raw=_JSON.dump_python(raw, mode="json"),
    )


def _shortened(name: str | None) -> str:
    """Return a name from a provider, shortened for storage."""
    return storable(name or "")[:_MAX_NAME]


def _storable_arguments(arguments: object) -> JsonValue:
    return arguments if isinstance(arguments, str | dict) else None
