"""Cross-origin requests: who may read the answers in a browser, and what they may send."""

from __future__ import annotations

from collections.abc import Mapping

from service.api.render import Headers

ALLOWED = (
    "authorization",
    "content-type",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-request-id",
    "x-title",
    "http-referer",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-dangerous-direct-browser-access",
    "openai-organization",
    "openai-project",
    "openai-beta",
)
ECHOED = ("x-", "anthropic-", "openai-")
MAX_ECHOED = 64
EXPOSED = (
    b"x-request-id, retry-after, x-should-retry, x-proxy-key, x-proxy-wire, x-proxy-attempts, x-proxy-model, "
    b"x-proxy-overhead-ms, x-proxy-points, x-proxy-notice"
)
MAX_AGE_SECONDS = b"7200"


class Cors:
    """The headers for one set of origins; an empty set answers as if browsers did not exist."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = origins == ("*",)
        self._origins = frozenset([origin.encode("ascii") for origin in origins])

    def __bool__(self) -> bool:
        return bool(self._origins)

    def _allowed(self, origin: bytes) -> bytes | None:
        if self._any:
            return b"*"
        return origin if origin.lower() in self._origins else None

    def answer_headers(self, origin: bytes) -> Headers:
        """For an ordinary answer. Credentials are never allowed: tokens travel in headers that a page sets itself."""
        allowed = self._allowed(origin)
        headers: Headers = [] if self._any else [(b"vary", b"Origin")]
        if allowed is not None:
            headers += [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", EXPOSED)]
        return headers

    def preflight_headers(self, headers: Mapping[bytes, bytes], methods: str) -> Headers | None:
        """For a preflight request, None where it is none or comes from a stranger."""
        origin = headers.get(b"origin")
        if origin is None or b"access-control-request-method" not in headers or self._allowed(origin) is None:
            return None
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1").lower().split(",")
        echoed = [name for name in map(str.strip, asked[:MAX_ECHOED]) if _may_echo(name)]
        names = ", ".join([*ALLOWED, *echoed])
        return [
            *self.answer_headers(origin),
            (b"access-control-allow-methods", methods.encode("ascii")),
            (b"access-control-allow-headers", names.encode("ascii")),
            (b"access-control-max-age", MAX_AGE_SECONDS),
        ]


def _may_echo(name: str) -> bool:
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return plain and name.startswith(ECHOED) and name not in ALLOWED
