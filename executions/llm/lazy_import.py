"""Loads the libraries of providers in a single thread beside the event loop.

Loading a library takes up to seconds. With two threads, one could see a partly initialised module of the other.
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
    """Call the function in the thread that loads libraries, and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_loader, partial(load, *args, **kwargs))
