"""One GET: bounded in time and size, without redirects, never an exception."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from typing import Any

LARGEST_BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` is 0 where nothing did, and `problem` then says why."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    def json(self) -> Any:
        """The body parsed; None where it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def __str__(self) -> str:
        return self.problem or f"HTTP {self.status}"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which could take a token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def get(url: str, headers: Mapping[str, str] | None = None, *, seconds: float = 10.0) -> Answer:
    """Ask `url` once. Proxies of the environment are used, as by flyctl."""
    if not url.startswith(("https://", "http://")):
        return Answer(0, problem="no URL that begins with https:// or http://")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "poe-proxy-tasks", **(headers or {})})  # noqa: S310
        with _opened(request, seconds) as answer:
            return Answer(answer.status, answer.read(LARGEST_BODY_BYTES), _lower(answer.headers))
    except urllib.error.URLError as problem:
        return Answer(0, problem=_why(problem.reason))
    except (OSError, ValueError, HTTPException) as problem:
        return Answer(0, problem=_why(problem))


def _opened(request: urllib.request.Request, seconds: float) -> Any:
    """The answer, whatever its status: reading the body of a refusal can fail like that of any other."""
    try:
        return urllib.request.build_opener(_Stay).open(request, timeout=seconds)
    except urllib.error.HTTPError as refused:
        return refused


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _why(problem: object) -> str:
    """Half a sentence without the URL, which may hold what is not to be shown."""
    if isinstance(problem, TimeoutError):
        return "no answer in time"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return type(problem).__name__ if isinstance(problem, BaseException) else str(problem)[:100]
