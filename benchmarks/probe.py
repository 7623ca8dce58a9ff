"""Asks for URLs again and again until its input ends, and then prints how long each answer took, in seconds, as JSON.

A process of its own: what the benchmark's other threads do meanwhile is no part of what it measures.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

PAUSE_SECONDS = 0.02


def ask(url: str, headers: dict[str, str], stop: threading.Event) -> list[float]:
    """Ask until told to stop, and return how long each answer took, in seconds.

    Raises:
        AssertionError, httpx.HTTPError: it was answered with an error.
    """
    seconds = []
    with httpx.Client(headers=headers, timeout=60) as client:
        while not stop.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            answer = client.get(url)
            seconds.append(time.perf_counter() - began)
            assert answer.status_code == 200, answer.text
    return seconds


def main() -> None:
    """Ask for the URLs of the first line, with its headers."""
    given = json.loads(sys.stdin.readline())
    stop = threading.Event()
    with ThreadPoolExecutor(len(given["urls"])) as threads:
        asking = [threads.submit(ask, url, given["headers"], stop) for url in given["urls"]]
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        sys.stdin.read()
        stop.set()
        sys.stdout.write(json.dumps([each.result() for each in asking]))


if __name__ == "__main__":
    main()
