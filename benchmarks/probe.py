"""Requests URLs repeatedly until its input ends, and then prints the response times in seconds as JSON.

It is a separate process, so that other threads of the benchmark do not affect the measurement.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

PAUSE_SECONDS = 0.02


def measure(url: str, headers: dict[str, str], stop: threading.Event) -> list[float]:
    """Request a URL until `stop` is set; return the response times in seconds.

    Raises:
        AssertionError, httpx.HTTPError: a request failed.
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
    """Request the URLs of the first input line, with its headers."""
    task = json.loads(sys.stdin.readline())
    stop = threading.Event()
    with ThreadPoolExecutor(len(task["urls"])) as threads:
        futures = [threads.submit(measure, url, task["headers"], stop) for url in task["urls"]]
        sys.stdout.write("running\n")
        sys.stdout.flush()
        sys.stdin.read()
        stop.set()
        sys.stdout.write(json.dumps([each.result() for each in futures]))


if __name__ == "__main__":
    main()
