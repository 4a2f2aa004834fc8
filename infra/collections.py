"""Topics: a noun that shows or does the usual thing by its plain name, and verbs behind a dot."""

from __future__ import annotations

from typing import Any

from invoke import Collection, Task


def topic(name: str, plain: Task[Any] | None, *verbs: Task[Any]) -> Collection:
    """The collection `name`; `plain` is what its name alone does."""
    made = Collection(name)
    if plain is not None:
        made.add_task(plain, default=True)
    for verb in verbs:
        made.add_task(verb)
    return made
