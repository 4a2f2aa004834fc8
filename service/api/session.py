"""Which conversation a request belongs to, so that `sticky` can keep it on one key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from service.contract.members import given
from service.contract.models import ChatCompletionRequest
from service.prompt import Prompt

HEADERS = (b"x-session-id", b"x-claude-code-session-id", b"session-id", b"thread-id", b"x-session-affinity")
"""In order; the last is opencode's."""
CONVERSATION = ("conversation_id", "conversation")
SESSION_PART = "session_"
"""Before the session in Claude Code's `metadata.user_id`, behind the account's part."""
DIGEST_BYTES = 16


def session_of(headers: Mapping[bytes, bytes], request: ChatCompletionRequest, prompt: Prompt, tenant: str) -> str:
    """A digest that all requests of one conversation share, and those of others do not.

    What the caller says decides: a header, then the session in `metadata.user_id`, then `prompt_cache_key`, then the
    conversation's id. Else it is the system prompt together with the first message of the user, which tells apart the
    agents that one program starts with the same system prompt.
    """
    for name in HEADERS:
        value = headers.get(name)
        if value:
            return _digest(tenant, "header", [value.decode("latin-1")])
    for kind, told in _told(request):
        if told:
            return _digest(tenant, kind, [told])
    return _digest(tenant, "words", _first_words(prompt))


def _told(request: ChatCompletionRequest) -> Iterable[tuple[str, str]]:
    metadata = given(request.metadata) or {}
    yield "metadata", _session_part(metadata.get("user_id"))
    yield "cache", given(request.prompt_cache_key) or ""
    extra = request.model_extra or {}
    for name in CONVERSATION:
        yield "conversation", _id(extra.get(name))


def _session_part(user: Any) -> str:
    """The session in an id of a user; such an id without one tells who asks, not in which conversation."""
    return user.rpartition(SESSION_PART)[2] if isinstance(user, str) and SESSION_PART in user else ""


def _id(value: Any) -> str:
    """An id: a text, or the `id` of an object."""
    value = value.get("id") if isinstance(value, dict) else value
    return value if isinstance(value, str) else ""


def _first_words(prompt: Prompt) -> list[str]:
    words: list[str] = []
    for turn in prompt.turns:
        if turn.role == "system":
            words.append(turn.text)
        elif turn.role == "user":
            return [*words, turn.text]
    return words


def _digest(tenant: str, kind: str, words: Iterable[str]) -> str:
    """One digest of several texts, of which none runs into the next."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    for word in (tenant, kind, *words):
        written = word.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(written) + written)
    return digest.hexdigest()
