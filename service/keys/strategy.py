"""Which key comes next: strategies by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from types import MappingProxyType

from service.keys.account import Account, Key

Strategy = Callable[[list[Account], str, float, Set[str], str], Key | None]
"""Accounts, model, now, the names of keys to avoid, conversation (empty where unknown) → the chosen key, or None.

It may reorder what it is given, but must choose a key where there is one.
"""

MOST_SESSIONS = 10_000
SESSION_SECONDS = 3600.0
"""A conversation that pauses for longer has lost what a provider keeps of it."""


def round_robin(accounts: list[Account], model: str, now: float, avoid: Set[str], session: str = "") -> Key | None:
    """The usable account that was used longest ago, and of its keys the one that was.

    Whoever is used goes to the end of the line. One that is skipped keeps its place, so that the load of a resting
    account spreads over all others instead of doubling that of its neighbour.
    """
    for place, account in enumerate(accounts):
        if account.blocked_until > now:
            continue
        keys = account.keys
        for key in keys:
            if key.serves(model, now) and key.spec.name not in avoid:
                del accounts[place]
                accounts.append(account)
                if len(keys) > 1:
                    keys.remove(key)
                    keys.append(key)
                return key
    return None


def least_busy(accounts: list[Account], model: str, now: float, avoid: Set[str], session: str = "") -> Key | None:
    """The usable key whose account has the fewest open leases, and of those the key that has; else the turn decides."""
    best: Key | None = None
    fewest = (0, 0)
    for account in accounts:
        if account.blocked_until > now:
            continue
        busy = sum([key.open for key in account.keys])
        for key in account.keys:
            if best is not None and (busy, key.open) >= fewest:
                continue
            if key.serves(model, now) and key.spec.name not in avoid:
                best, fewest = key, (busy, key.open)
    if best is not None:
        _go_to_end(accounts, best)
    return best


class Sticky:
    """One conversation stays on one key while that key can serve it; then it moves, and stays where it went."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, tuple[Key, float]] = OrderedDict()

    def __call__(
        self, accounts: list[Account], model: str, now: float, avoid: Set[str], session: str = ""
    ) -> Key | None:
        """The conversation's key, else the next in turn."""
        if not session:
            return round_robin(accounts, model, now, avoid)
        key = self._known(session, now)
        if key is None or not _usable(key, model, now, avoid):
            key = round_robin(accounts, model, now, avoid)
        if key is not None:
            self._keep(session, key, now)
        return key

    def __len__(self) -> int:
        return len(self._sessions)

    def _known(self, session: str, now: float) -> Key | None:
        key, seen = self._sessions.get(session, (None, 0.0))
        return key if now - seen <= SESSION_SECONDS else None

    def _keep(self, session: str, key: Key, now: float) -> None:
        sessions = self._sessions
        sessions[session] = (key, now)
        sessions.move_to_end(session)
        oldest = next(iter(sessions.values()))
        if len(sessions) > MOST_SESSIONS or now - oldest[1] > SESSION_SECONDS:
            sessions.popitem(last=False)


def _usable(key: Key, model: str, now: float, avoid: Set[str]) -> bool:
    return key.account.blocked_until <= now and key.serves(model, now) and key.spec.name not in avoid


def _go_to_end(accounts: list[Account], key: Key) -> None:
    account = key.account
    accounts.remove(account)
    accounts.append(account)
    account.keys.remove(key)
    account.keys.append(key)


STRATEGIES: Mapping[str, Callable[[], Strategy]] = MappingProxyType(
    {"round_robin": lambda: round_robin, "least_busy": lambda: least_busy, "sticky": Sticky}
)
"""How to make each strategy; one that remembers belongs to one pool."""
