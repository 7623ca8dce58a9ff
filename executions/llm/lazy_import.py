"""Where the libraries of providers are loaded: in one thread, one after the other, beside the event loop.

Loading one takes up to seconds. Two threads that load what has parts in common may see it half loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="providers")


async def run_in_loader(load: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the function returns, called in the thread that loads libraries."""
    return await asyncio.get_running_loop().run_in_executor(_loader, partial(load, *args, **kwargs))
