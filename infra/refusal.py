"""Why flyctl refused, in one line with the next step; what it prints itself is a query in front of half a sentence."""

from __future__ import annotations

import enum
import re

from infra.task import ExitCode


class Refusal(enum.Enum):
    """The kinds of failure that tasks tell apart."""

    NO_FLYCTL = enum.auto()
    NO_LOGIN = enum.auto()
    NO_APP = enum.auto()
    TAKEN = enum.auto()
    NO_IMAGE = enum.auto()
    UNHEALTHY = enum.auto()
    UNREACHABLE = enum.auto()
    BUSY = enum.auto()
    BROKEN = enum.auto()
    TIMEOUT = enum.auto()
    OTHER = enum.auto()

    @property
    def code(self) -> ExitCode:
        """The exit code that a task ends with."""
        return ExitCode.NOT_SET_UP if self in (Refusal.NO_FLYCTL, Refusal.NO_LOGIN, Refusal.NO_APP) else ExitCode.FAILED


LONGEST = 400
AGAIN = "run the same task again"
_LOGIN = "run `flyctl auth login`, or put a token that has not expired into FLY_API_TOKEN"
# The first that fits decides. What stands behind is said after flyctl's own words.
_KNOWN: tuple[tuple[str, Refusal, str], ...] = (
    (r"no access token|please log ?in", Refusal.NO_LOGIN, _LOGIN),
    (
        r"could not find app|app not found|unknown app",
        Refusal.NO_APP,
        "`./dev setup` makes it; or the name is wrong (--app, FLY_APP, fly.toml), or the token is another app's",
    ),
    (r"already been taken|already taken|name is taken", Refusal.TAKEN, "choose another name with --app"),
    (
        r"\b40[13]\b|unauthori[sz]ed|not authori[sz]ed|forbidden|authenticat"
        r"|token.*(?:expired|invalid|revoked)|(?:expired|invalid|revoked).*token",
        Refusal.NO_LOGIN,
        _LOGIN,
    ),
    (
        r"could not find image|manifest unknown|failed to fetch an image",
        Refusal.NO_IMAGE,
        "`./dev releases` lists images",
    ),
    (
        r"health checks? to pass|machine's state to change|smoke checks|failed to update vm|update failed",
        Refusal.UNHEALTHY,
        "`./dev logs` shows what the machine said",
    ),
    (
        r"no such host|dial tcp|connection refused|connection reset|network is unreachable|i/o timeout|tls handshake"
        r"|proxyconnect|\beof\b|deadline exceeded",
        Refusal.UNREACHABLE,
        f"check the network, then {AGAIN}",
    ),
    (r"\b429\b|rate limit|too many requests", Refusal.BUSY, f"wait a minute and {AGAIN}"),
    (
        r"\b50[0234]\b|internal server error|bad gateway|service unavailable",
        Refusal.BROKEN,
        f"Fly's API has trouble (status.flyio.net); {AGAIN}",
    ),
)
_LOGIN_HINT = re.compile(r"\.? Please log ?in with 'flyctl auth login'", re.IGNORECASE)  # as the step says
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), refusal, step) for pattern, refusal, step in _KNOWN)
_STEPS = (*(step for _, _, step in _KNOWN), AGAIN)
_ERROR = re.compile(r"^(?:Error|error|panic|✘):?\s*(.*)$", re.MULTILINE)


def told(stderr: str, stdout: str, code: int) -> tuple[Refusal, str]:
    """The kind of failure and a line for people, from both outputs (already without secrets) and the exit code."""
    sentence = _sentence(stderr) or _sentence(stdout) or f"ended with exit code {code} and without a word"
    for pattern, refusal, step in _PATTERNS:
        if pattern.search(sentence):
            return refusal, f"{_LOGIN_HINT.sub('', sentence)}; {step}"
    return Refusal.OTHER, sentence


def without_step(line: str) -> str:
    """What was told of a failure, without its next step: for who needs none."""
    return next((line.removesuffix(f"; {step}") for step in _STEPS if line.endswith(f"; {step}")), line)


def _sentence(output: str) -> str:
    """The last thing that was called an error, without the query that flyctl puts before what the API said."""
    found = _ERROR.findall(output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    text = found[-1] if found else (lines[-1] if lines and not _ERROR.search(output) else "")
    if "failed to run query" in text:
        text = text.rpartition("}: ")[2] or text
    text = re.sub(r"\s*\((?:Request|Trace) ID: [^)]*\)", "", text).strip().rstrip(".")
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
