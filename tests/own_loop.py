"""Coroutines run to their end in a thread of their own: in the tests' there may be a browser's event loop already."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_async[T](coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what it returns."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
