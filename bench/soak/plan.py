"""How a soak goes: how long what lasts, and which settings its gateway has."""

from __future__ import annotations

CALLERS = 24
ACCOUNTS = 3
KEYS_OF_AN_ACCOUNT = 2
LONGEST_WARM_UP_SECONDS = 30.0
SHORTEST_WARM_UP_SECONDS = 3.0
QUIET_SECONDS = 4.0
"""After the warm-up, before the first look: for connections and answers that nobody waits for any more."""
SETTLE_SECONDS = 20.0
"""After the load, until what is left counts as left over."""
POLL_SECONDS = 0.5
MEMORY_SHARE = 0.10
"""By which memory may have grown since the warm-up."""
SHORT_MEMORY_SHARE = 0.35
"""The same of a short soak, whose warm-up has not yet seen the largest of everything at once."""
LONG_SECONDS = 60.0

SETTINGS = {
    "FIRST_EVENT_TIMEOUT": "1",
    "ANSWER_TIMEOUT": "5",
    "IDLE_TIMEOUT": "1",
    "HEAD_DEADLINE": "0.3",
    "KEEPALIVE": "0.3",
    "POE_LIMIT_PER_MINUTE": "2000",
    "BREAKER_FAILURES": "20",
    "KEY_STRATEGY": "sticky",
    "METRICS_PORT": "0",
    "LOG_LEVEL": "info",
}
"""Short waits, so that faults take little time; limit and circuit are loose enough to let most of them through."""
