"""Threads of API requests: a request crosses to a thread once, and its view runs there to its end.

A view is an asynchronous function, which calls what waits for the database by `in_request_thread`. When the whole view runs in a
thread, that calls the function at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

#: More requests wait. The pool of connections refuses requests long before.
MAX_THREADS = 256

Given = ParamSpec("Given")
Result = TypeVar("Result")
_is_inside: ContextVar[bool] = ContextVar("is_inside", default=False)


def in_request_thread(function: Callable[Given, Result]) -> Callable[Given, Awaitable[Result]]:
    """Return an asynchronous function that calls a function in a thread: in this one, if the whole view runs in it."""

    async def call(*arguments: Given.args, **options: Given.kwargs) -> Result:
        if _is_inside.get():
            return function(*arguments, **options)
        return await sync_to_async(function)(*arguments, **options)

    return call


@cache
def request_threads() -> Executor:
    """Return the threads of the API requests of this process. They are made as they are needed."""
    return ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="request")


async def run_in_one_thread(
    function: Callable[[], Result], *, executor: Executor | None, finish: Callable[[], object] = close_old_connections
) -> Result:
    """Call a function in a thread, in which `in_request_thread` calls at once.

    Args:
        function: The function.
        executor: The threads; None: the thread of the request, as Django chooses it.
        finish: Called in the thread at the end, to give its connection back.
    """

    def run() -> Result:
        token = _is_inside.set(True)
        try:
            return function()
        finally:
            _is_inside.reset(token)
            if executor is not None:
                finish()

    if executor is None:
        return await sync_to_async(run)()
    return await sync_to_async(run, thread_sensitive=False, executor=executor)()


def complete(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of a coroutine that awaits nothing but functions of `in_request_thread`.

    Raises:
        RuntimeError: it awaits something else, which needs an event loop.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    coroutine.close()
    raise RuntimeError("The view waits on the event loop, and is not named in `on_loop`.")
