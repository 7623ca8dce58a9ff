"""Real models, behind one call: pydantic-ai speaks the providers' languages."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
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
from executions.llm.lazy_import import loaded
from executions.llm.pydantic_ai import failures, refusals, transport
from executions.llm.pydantic_ai.connections import provider_of
from executions.llm.pydantic_ai.endings import has_ended
from executions.llm.pydantic_ai.extras import Extras
from executions.llm.pydantic_ai.options import Options
from executions.llm.pydantic_ai.requests import messages, output_of, parameters
from executions.llm.usage.transcript import Transcript, begin, current, listening
from executions.llm.usage.usage import bill
from telemetry.price_list import Billing
from telemetry.pricing import prices
from workflows.errors import storable

#: Their clients are made here, and never try again by themselves; others are told so with each request.
_OWN_CLIENTS = frozenset({"anthropic", "openai", "openai-chat", "openai-responses"})
_MOST_READY = 64  # models
_NAME = 200  # characters of a model's name and of a request's id, as a provider says them
_JSON: TypeAdapter[object] = TypeAdapter(object)
_FINISH = {"length": FinishReason.TRUNCATED, "content_filter": FinishReason.REFUSED}


class ProviderModel:
    """Asks a provider once. Trying again is not for here: it might pay twice.

    The first that is asked of a provider waits until its library is here; a call's time begins after that.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._extras = Extras()

    async def complete(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Return the reply, with usage and cost; `heard` gets its text while it arrives, when it is streamed.

        Raises:
            ModelError: it could not be asked, or did not answer within the request's `timeout_seconds`.
        """
        try:
            model = _ready.get(request.model)
            if model is None:
                model = await loaded(_prepared, request.model)
            began, asked_at = time.monotonic(), database_now()
            async with asyncio.timeout(request.timeout_seconds):
                response = await self._response(model, request, on_text)
        except TimeoutError as error:
            raise failures.timeout_error(request.model, request.timeout_seconds) from error
        except exceptions.ContentFilterError as error:
            raise ModelError(FailureCode.MODEL_REFUSED, failures.shown(error)) from error
        except exceptions.ModelAPIError as error:
            raise failures.failure_of(request.model, error) from error
        except (exceptions.UserError, ImportError) as error:  # no key, no such provider, none whose library is here
            said = sentence(f"{request.model} cannot be asked: {failures.shown(error)}")
            message = f"{said} Check the step's model, and the provider's key."
            raise ModelError(FailureCode.PROVIDER_REJECTED, message) from error
        latency_ms = round((time.monotonic() - began) * 1000)
        return _reply(request, response, current(), asked_at=asked_at, latency_ms=latency_ms)

    async def _response(self, model: Model, request: ModelRequest, on_text: OnText) -> ModelResponse:
        while True:
            known = self._extras.refused(request.model)
            begin()  # what came with a refused request says nothing of the next one
            try:
                return await self._asked(model, request, on_text)
            except exceptions.ModelHTTPError as error:
                self._extras.note(request.model, error)
                if self._extras.refused(request.model) == known:
                    raise  # otherwise it is asked without what was refused, which has cost nothing

    async def _asked(self, model: Model, request: ModelRequest, on_text: OnText) -> ModelResponse:
        output = output_of(request, model, wanted=self._options.output)
        said: list[ModelMessage] = [messages(request, output)]
        settings, wanted = self._settings(request, model), parameters(request, output)
        with _readable(request.model):
            if not self._options.streaming:
                return await model_request(model, said, model_settings=settings, model_request_parameters=wanted)
            opening = model_request_stream(model, said, model_settings=settings, model_request_parameters=wanted)
            async with self._until_first(request) as silence, opening as stream:
                async for event in stream:
                    silence.reschedule(None)
                    if text := _text(event):
                        on_text(text)
                response = stream.get()
        if not has_ended(response):
            raise failures.truncated_stream(request.model)
        return response

    @asynccontextmanager
    async def _until_first(self, request: ModelRequest) -> AsyncIterator[asyncio.Timeout]:
        silence = asyncio.timeout(self._options.first_token_seconds)
        try:
            async with silence:
                yield silence
        except TimeoutError as error:
            if not silence.expired():
                raise  # the whole call's time is up
            raise failures.first_token_timeout(request.model, self._options.first_token_seconds) from error

    def _settings(self, request: ModelRequest, model: Model) -> ModelSettings:
        whole = float(request.timeout_seconds)
        settings = ModelSettings(max_tokens=request.max_output_tokens, timeout=whole)
        if request.model.partition(":")[0] in _OWN_CLIENTS:
            settings["timeout"] = httpx.Timeout(whole, connect=self._options.connect_seconds)
        elif "max_retries" not in model.unsupported_settings:
            settings["max_retries"] = 0
        self._extras.add_to(settings, name=request.model, model=model)
        return settings


#: What its library ends in when an answer is not what the provider's language has it: a missing field, another type.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, Warning)


@contextmanager
def _readable(model: str) -> Iterator[None]:
    """Tell an answer that cannot be read from a bug of ours: asking again may help."""
    try:
        yield
    except (exceptions.UnexpectedModelBehavior, *_UNREADABLE) as error:
        if isinstance(error, exceptions.ContentFilterError):
            raise
        raise failures.unreadable_reply(model, error) from error


def _text(event: ModelResponseStreamEvent) -> str:
    """Return what has come of the text, or of the arguments of a tool."""
    match event:
        case PartStartEvent(part=TextPart(content=str() as text)):
            return text
        case PartStartEvent(part=ToolCallPart(args=str() as text)):
            return text
        case PartStartEvent(part=ToolCallPart(args=dict() as arguments)):  # of providers that send them whole
            return json.dumps(arguments, ensure_ascii=False)
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=str() as text)):
            return text
    return ""


_ready: dict[str, Model] = {}  # by name


def _prepared(name: str) -> Model:
    """Return a model, and have it ready from now on. The first of a provider loads its library."""
    if name not in _ready:
        if len(_ready) >= _MOST_READY:
            _ready.clear()
        _ready[name] = _model(name)
    return _ready[name]


def _model(name: str) -> Model:
    """Return a model with a client that never retries by itself."""
    provider, _, model = name.partition(":")
    if provider == "anthropic":
        return _anthropic(model)
    if provider in _OWN_CLIENTS:
        # Servers that only speak OpenAI's language speak its older half.
        is_chat = provider == "openai-chat" or (provider == "openai" and "OPENAI_BASE_URL" in os.environ)
        return _openai(model, is_chat=is_chat)
    return infer_model(name, provider_of if is_known(name) else infer_provider)


# A provider's library takes up to a second to import: whoever asks one provider does not wait for those of others.


def _anthropic(model: str) -> Model:
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient  # noqa: PLC0415
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    http = listening(DefaultAsyncHttpxClient, event_hooks={"response": [transport.on_response]})
    client = AsyncAnthropic(api_key=_key("ANTHROPIC"), max_retries=0, http_client=http)
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


def _openai(model: str, *, is_chat: bool) -> Model:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIResponsesModel  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    from executions.llm.pydantic_ai.chat import ChatModel  # noqa: PLC0415

    if not is_chat:
        from openai.types.responses import Response  # noqa: PLC0415

        Response.model_rebuild()  # here, in the loading thread: the first answer would build it on the event loop
    http = listening(DefaultAsyncHttpxClient, event_hooks={"response": [transport.on_response]})
    client = AsyncOpenAI(api_key=_key("OPENAI"), max_retries=0, http_client=http)
    kind = ChatModel if is_chat else OpenAIResponsesModel
    return kind(model, provider=OpenAIProvider(openai_client=client))


def _key(provider: str) -> str:
    """Return a provider's key; a server of one's own at another address may need none.

    Raises:
        UserError: there is none.
    """
    if key := os.environ.get(f"{provider}_API_KEY", "").strip():
        if not (key.isascii() and key.isprintable()):
            raise exceptions.UserError(f"{provider}_API_KEY holds characters that no key has.")
        return key
    if f"{provider}_BASE_URL" in os.environ:
        return "none"
    raise exceptions.UserError(f"{provider}_API_KEY is not set.")


def _reply(
    request: ModelRequest, response: ModelResponse, transcript: Transcript, *, asked_at: datetime, latency_ms: int
) -> ModelReply:
    billed = bill(response, transcript)
    provider = response.provider_name or request.model.partition(":")[0]
    model = _named(response.model_name) or request.model.partition(":")[2]
    usage = billed.usage or Usage()
    text, refused = refusals.written(response), refusals.is_refused(response)
    raw = {"usage": billed.said, "details": response.provider_details, **({"text": text} if refused and text else {})}
    cost = prices.price(
        provider=provider,
        model=model,
        requested=request.model,
        **usage.model_dump(exclude={"reasoning_tokens"}),
        billing=Billing.model_validate(billed.billing),
        at=asked_at,
    )
    return ModelReply(
        provider=provider,
        model=model,
        usage_known=billed.usage is not None,
        tool_calls=tuple(
            ToolCall(name=part.tool_name, arguments=_plain(part.args))
            for part in response.parts
            if isinstance(part, ToolCallPart)
        ),
        text=refusals.reason(response) if refused else text,
        finish_reason=_FINISH.get(response.finish_reason or "", FinishReason.STOP),
        usage=usage,
        billing=billed.billing,
        cost_usd=cost,
        provider_request_id=_named(response.provider_response_id),
        latency_ms=latency_ms,
        raw=_JSON.dump_python(raw, mode="json"),
    )


def _named(name: str | None) -> str:
    """Return a name that a provider has given, as far as it is kept."""
    return storable(name or "")[:_NAME]


def _plain(arguments: object) -> JsonValue:
    return arguments if isinstance(arguments, str | dict) else None
