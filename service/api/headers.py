"""The headers that every answer of a model carries (interface: what every answer carries)."""

from __future__ import annotations

from time import perf_counter
from urllib.parse import quote

from service.api.render import Headers
from service.observe.record import Record

MAX_VALUE_BYTES = 1024


def printable(text: str) -> bytes:
    """A header value of ours: printable ASCII, anything else percent-encoded, at most 1,024 bytes."""
    if text.isascii() and text.isprintable():
        return text[:MAX_VALUE_BYTES].encode("ascii")
    safe = "".join([c if c.isascii() and c.isprintable() else quote(c, errors="replace") for c in text])
    return safe[:MAX_VALUE_BYTES].encode("ascii")


def told(record: Record) -> Headers:
    """What is known of an answer when its head leaves; notes in the record what it took until then."""
    record.overhead_seconds = overhead_seconds = max(0.0, perf_counter() - record.started_at - record.waiting.seconds)
    headers: Headers = [
        (b"x-request-id", record.id.encode("ascii")),
        (b"x-proxy-attempts", b"%d" % record.attempts),
        (b"x-proxy-overhead-ms", b"%.2f" % (overhead_seconds * 1000)),
    ]
    if record.key:
        headers += [
            (b"x-proxy-key", printable(record.key)),
            (b"x-proxy-wire", record.wire.encode("ascii")),
            (b"x-proxy-model", printable(record.poe_model)),
        ]
    notice = record.notice_text()
    if notice:
        headers.append((b"x-proxy-notice", printable(notice)))
    return headers
