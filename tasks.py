"""The tasks, as a table of contents: each topic is a module of `infra/`."""

from __future__ import annotations

from invoke import Collection

from infra import dev

namespace = Collection(
    dev.serve,
    dev.test,
    dev.check,
    dev.generate,
    dev.bench,
)
