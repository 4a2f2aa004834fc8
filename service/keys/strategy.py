"""Which key comes next: named functions over the accounts."""

from __future__ import annotations

from collections.abc import Callable, Set

from service.keys.account import Account, Key

Strategy = Callable[[list[Account], str, float, Set[str]], Key | None]
"""Accounts, model, now and the names of keys to avoid → the chosen key, or None. It may reorder what it is given."""


def round_robin(accounts: list[Account], model: str, now: float, avoid: Set[str]) -> Key | None:
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
