"""An S3 bucket on loopback: of its API what Terraform asks for, conditional writes included, and a log of requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

EMPTY_LIST = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><Name>state</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>
</ListBucketResult>"""


@dataclass
class Bucket:
    """What is in the bucket, by key, and what was asked of it."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    refuses: bool = False
    missing: bool = False


class Handler(BaseHTTPRequestHandler):
    """One connection; the first part of a path is the bucket's name, whatever that is."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _key(self) -> str:
        return urlsplit(self.path).path.lstrip("/").partition("/")[2]

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.server.bucket.log.append(f"{self.command} {self._key()} {status}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        objects = self.server.bucket.objects
        if self.server.bucket.refuses:
            self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        elif self.server.bucket.missing:
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif "list-type" in parse_qs(urlsplit(self.path).query):
            self._answer(200, EMPTY_LIST.encode())
        elif self._key() in objects:
            self._answer(200, objects[self._key()])
        else:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and self._key() in self.server.bucket.objects:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        self.server.bucket.objects[self._key()] = body
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.bucket.objects.pop(self._key(), None)
        self._answer(204)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The listener, with the bucket that it serves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bucket = Bucket(f"http://127.0.0.1:{self.server_address[1]}")


@contextmanager
def serving() -> Iterator[Bucket]:
    """A bucket for as long as it is needed."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
