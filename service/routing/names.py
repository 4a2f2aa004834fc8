"""Model names as callers write them: vendor prefixes, dates, dashes for dots; and what they may have meant.

Resolution never guesses: a spelling that could be two models is neither. A *near miss* is a spelling that is surely a
slip of the keyboard: the digits are right, so it is no newer version, and no word was added, so it is no variant of
another host (`-fw`, `-turbo`); such names exist on Poe without being listed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from service.errors import Refusal

MAX_LENGTH = 200
MAX_NEAR_LENGTH = 64
MAX_SUGGESTIONS = 3

SEPARATORS = re.compile(r"[\s._-]+")
VERSION_SUFFIX = re.compile(r"(?:[-@:]latest|[-@]20\d{6}|[-@]20\d\d-\d\d-\d\d)$", re.IGNORECASE)
VENDORS = frozenset(
    [
        *["poe", "openrouter", "vertex", "vertex_ai", "models"],
        *["openai", "anthropic", "google", "gemini", "xai", "x-ai", "deepseek", "deepseek-ai", "moonshotai", "mistral"],
        *["mistralai", "meta-llama", "qwen", "z-ai", "zai-org", "minimax", "minimaxai", "xiaomi", "amazon", "nvidia"],
        *["cohere", "perplexity"],
    ]
)
"""What may stand before a slash in other people's catalogues."""


def usable(name: str) -> bool:
    """Whether a name can stand in a URL (percent-encoded), a header and a log line."""
    return 0 < len(name) <= MAX_LENGTH and name.isprintable() and name not in (".", "..")


def clean(name: str) -> str:
    """The name without blanks around it. Refusal 404 where no model can be called that."""
    name = name.strip()
    if usable(name):
        return name
    if len(name) > MAX_LENGTH:
        fault = f"is longer than {MAX_LENGTH} characters"
    else:
        fault = "holds characters that cannot be printed" if name.strip(".") else "is empty"
    message = f"`model` {fault}. Send the name of a model, as `GET /v1/models` lists them."
    raise Refusal(404, message, code="model_not_found", param="model")


def bare(name: str) -> str | None:
    """The name without a vendor's prefix; None where a slash is left, which no name on Poe holds."""
    while "/" in name:
        vendor, _, name = name.partition("/")
        if vendor.lower() not in VENDORS:
            return None
    return name or None


def fold(name: str) -> str:
    """One spelling for all that differ in case, blanks, dots, dashes and underscores only."""
    return SEPARATORS.sub("-", name.lower()).strip("-")


class Names:
    """The spellings of one list of models. `ids` are lower case and distinct; `aliases` maps a spelling to an id."""

    def __init__(self, ids: Iterable[str], aliases: Mapping[str, str]) -> None:
        self._ids = frozenset(ids)
        self._folded: dict[str, str | None] = {}
        self._by_digits: defaultdict[str, list[tuple[str, list[str], str]]] = defaultdict(list)
        self._by_word: defaultdict[str, list[str]] = defaultdict(list)
        for id_ in ids:
            folded = fold(id_)
            self._folded[folded] = None if folded in self._folded else id_
            words = folded.split("-")
            self._by_digits[_digits(folded)].append((folded.replace("-", ""), words, id_))
            for word in set(words):
                self._by_word[word].append(id_)
        for alias, id_ in aliases.items():
            if id_ in self._ids:
                self._folded.setdefault(fold(alias), id_)

    def find(self, name: str) -> str | None:
        """The id that a spelling means, or None."""
        for spelling in _spellings(name):
            id_ = spelling.lower()
            found = id_ if id_ in self._ids else self._folded.get(fold(spelling))
            if found is not None:
                return found
        return None

    def near(self, name: str) -> tuple[str, ...]:
        """The ids that an unknown name surely misspells, best known first; usually none."""
        *_, core = _spellings(name)
        folded = fold(core)
        if len(folded) > MAX_NEAR_LENGTH:
            return ()
        squashed, words = folded.replace("-", ""), folded.split("-")
        slips = [
            (slip, id_)
            for other_squashed, other_words, id_ in self._by_digits.get(_digits(folded), ())
            if (slip := 0 if squashed == other_squashed else _slips(words, other_words)) is not None
        ]
        return tuple([id_ for _, id_ in sorted(slips)[:MAX_SUGGESTIONS]])

    def related(self, name: str) -> tuple[str, ...]:
        """The ids nearest to an unknown name: near misses, then those that share most of its words."""
        *_, core = _spellings(name)
        words = [word for word in fold(core[:MAX_NEAR_LENGTH]).split("-") if not word.isdigit()]
        enough = max(map(len, words), default=0) / 2
        shared: defaultdict[str, int] = defaultdict(int)
        for word in words:
            for id_ in self._by_word.get(word, ()):
                shared[id_] += len(word)
        newest_first = sorted([id_ for id_, letters in shared.items() if letters > enough], reverse=True)
        best = sorted(newest_first, key=lambda id_: (-shared[id_], abs(len(id_) - len(core))))
        return tuple(dict.fromkeys([*self.near(name), *best]))[:MAX_SUGGESTIONS]


def _spellings(name: str) -> Iterator[str]:
    """The name, then without a prefix, then without a date or `latest`: each a less literal reading."""
    name = name.strip()
    yield name
    last = name.rpartition("/")[2] or name
    if last != name:
        yield last
    core = VERSION_SUFFIX.sub("", last)
    if core and core != last:
        yield core


def _digits(folded: str) -> str:
    return "".join(filter(str.isdigit, folded))


def _slips(words: list[str], others: list[str]) -> int | None:
    """How many slips make one name of the other, or None where they are two names."""
    if len(words) != len(others):
        return None
    if sorted(words) == sorted(others):
        return 1
    different = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
    if len(different) > 2:
        return None
    total = 0
    for word, other in different:
        slips = _distance(word, other, _tolerance(word, other))
        if slips is None:
            return None
        total += slips
    return total


def _tolerance(word: str, other: str) -> int:
    """How many slips a word of that length may hold; short words are names of their own (`t`, `fw`, `pro`)."""
    longest = max(len(word), len(other))
    if longest < 4:
        return int(longest == 3 and sorted(word) == sorted(other))
    return 1 if longest < 8 else 2


def _distance(word: str, other: str, limit: int) -> int | None:
    """Letters to insert, delete, replace or swap with the next one; None above `limit`."""
    if abs(len(word) - len(other)) > limit:
        return None
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, 1):
        before, last, row = row, before, [i]
        for j, mark in enumerate(other, 1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (letter != mark))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == mark:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return None
    return row[-1] if row[-1] <= limit else None
