"""The state of one sandbox: keys and accounts, files, faults used up, and a log of calls for tests."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.sandbox.accounts import Cost, PointsRow, SandboxAccount
from service.sandbox.files import Files
from service.sandbox.poe_errors import out_of_points, too_many_requests, unknown_key

MAX_CALLS = 1_000
MAX_LOGGED_BODY_BYTES = 256 * 1024
MAX_ACCOUNTS = 1_000
MAX_COUNTED_FAULTS = 1_000
_LENIENT_POINTS = 1_000_000


Ending = Literal["answered", "broken", "left"]


@dataclass(slots=True)
class SandboxCall:
    """One request as the sandbox saw it, for tests.

    `body` is the parsed JSON, None where it was none or too large to keep. `ended` is None while it runs, then
    `answered` (whatever the status), `broken` (a fault cut it off) or `left` (the caller went away first). Times are
    the sandbox's clock, in seconds.
    """

    endpoint: str
    key: str = field(repr=False)
    started: float
    model: str = ""
    body: Any = field(default=None, repr=False)
    status: int = 0
    ended: Ending | None = None
    finished: float | None = None


class Sandbox:
    """Everything that a sandbox remembers, and how it behaves.

    `keys` maps secrets to accounts (several may share one); None takes any key, each with an account of its own that
    never stays dry. `first_word_seconds` and `word_seconds` pace every answer. A fresh row of the points history shows
    no points for `points_lag_seconds`; files live for `file_seconds`. `rate_headers` adds Poe's optional ones.
    `bot_failures` says how a bot refuses a key, a dry account or an unknown name: as an error event in a 200, or as an
    HTTP status; which of them Poe does is not known (poe.md 11.1). `public_url` is the base of the URLs of files, None
    takes the request's Host. `clock` is in seconds since 1970.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, SandboxAccount] | None = None,
        first_word_seconds: float = 0.0,
        word_seconds: float = 0.0,
        points_lag_seconds: float = 2.0,
        file_seconds: float = 600.0,
        rate_headers: bool = False,
        bot_failures: Literal["event", "status"] = "event",
        public_url: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.keys = None if keys is None else dict(keys)
        self.first_word_seconds = first_word_seconds
        self.word_seconds = word_seconds
        self.points_lag_seconds = points_lag_seconds
        self.rate_headers = rate_headers
        self.bot_failures = bot_failures
        self.public_url = public_url
        self.clock = clock
        self.files = Files(ttl_seconds=file_seconds, clock=clock)
        self.calls: deque[SandboxCall] = deque(maxlen=MAX_CALLS)
        self._lenient: OrderedDict[str, SandboxAccount] = OrderedDict()
        self._faults: Counter[str] = Counter()

    def account(self, secret: str) -> SandboxAccount:
        """The account behind a key; raises `Refused` for a key that is none."""
        if self.keys is not None:
            known = self.keys.get(secret)
            if known is None:
                raise unknown_key()
            return known
        if not secret:
            raise unknown_key()
        account = self._lenient.get(secret)
        if account is None:
            account = SandboxAccount(points=_LENIENT_POINTS, auto_recharge_points=_LENIENT_POINTS)
            self._lenient[secret] = account
            if len(self._lenient) > MAX_ACCOUNTS:
                self._lenient.popitem(last=False)
        return account

    def admit(self, secret: str) -> SandboxAccount:
        """The account of a key that may ask something now; raises `Refused` where it may not."""
        account = self.account(secret)
        wait = account.over_limit(self.clock())
        if wait is not None:
            raise too_many_requests(wait, limit=account.requests_per_minute or 0)
        if account.points <= 0:
            raise out_of_points()
        return account

    def charge(self, secret: str, account: SandboxAccount, bot_name: str, cost: Cost) -> None:
        """Take the points and write them down."""
        account.pay(PointsRow(self.clock(), bot_name, cost, key_name(secret)))

    def fault_due(self, words: str, times: int | None) -> bool:
        """Whether a fault that happens only so many times for one prompt happens now; counts it."""
        if times is None:
            return True
        if len(self._faults) >= MAX_COUNTED_FAULTS and words not in self._faults:
            self._faults.clear()
        self._faults[words] += 1
        return self._faults[words] <= times

    def open_call(self, endpoint: str, secret: str) -> SandboxCall:
        """Log a request."""
        call = SandboxCall(endpoint, secret, self.clock())
        self.calls.append(call)
        return call

    def note_body(self, call: SandboxCall, model: str, body: Any, size: int) -> None:
        """Log what it asked; `size` is the body's length in bytes."""
        call.model = model
        call.body = body if size <= MAX_LOGGED_BODY_BYTES else None

    def end_call(self, call: SandboxCall, how: Ending) -> None:
        """Log how it ended; the first word counts."""
        if call.ended is None:
            call.ended = how
            call.finished = self.clock()


def key_name(secret: str) -> str:
    """What the history calls a key: a name of it, never the key."""
    return f"key-{hashlib.sha256(secret.encode()).hexdigest()[:6]}"
