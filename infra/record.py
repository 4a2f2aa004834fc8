"""What is remembered of an app in `.poe-proxy/`, since Fly's secrets cannot be read back.

Digests of the access tokens given out, the token that `setup` made, a deploy token until it is stored elsewhere, what
served before a deployment until that is tested.
The folder is its owner's alone and ignores itself in git.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra import whole_file
from infra.fly import wrong_use

FOLDER = ".poe-proxy"


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token that was given out: its tenant, `sha256-HEX` of it, and its end in seconds since 1970, if any."""

    name: str
    digest: str
    ends: float | None = None

    def written(self) -> str:
        """As ACCESS_TOKENS takes it."""
        end = f"@{datetime.fromtimestamp(self.ends, UTC):%Y-%m-%dT%H:%M:%SZ}" if self.ends is not None else ""
        return f"{self.name}:{self.digest}{end}"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of an app.

    Access tokens are `issued` once all machines run with them, `staged` from when Fly has them, `sending` before that.
    `keys` and `sending_keys` are `sha256-HEX` of the Poe keys that Fly has from here, and of those on their way.
    `seen` are the digests that Fly showed of its secrets then; `elsewhere` says that somebody else has changed the
    tokens since. `removing` is the name of a secret on its way out.

    `environment` is GitHub's that has our secrets, `behind` are the names of those whose values are newer on Fly.
    `made` are the names of the deploy tokens that were made from here and not revoked, the newest last; `placed` says
    that GitHub has that one.
    """

    issued: tuple[Issued, ...] = ()
    staged: tuple[Issued, ...] = ()
    sending: tuple[Issued, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)
    elsewhere: bool = False
    keys: str = ""
    sending_keys: str = ""
    removing: str = ""
    environment: str = ""
    behind: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    placed: bool = False

    @property
    def next(self) -> tuple[Issued, ...]:
        """The tokens that are good after the next restart of the machines."""
        return self.staged or self.issued


class Drawer:
    """The files of one app in `.poe-proxy/`."""

    __slots__ = ("_app", "_folder")

    def __init__(self, folder: Path, app: str) -> None:
        self._folder = folder / FOLDER
        self._app = app

    @property
    def token_file(self) -> Path:
        """The access token that `setup` made, as `NAME:TOKEN`."""
        return self._folder / f"{self._app}.access-token"

    @property
    def deploy_token_file(self) -> Path:
        """A deploy token that nobody else keeps yet."""
        return self._folder / f"{self._app}.deploy-token"

    @property
    def _file(self) -> Path:
        return self._folder / f"{self._app}.json"

    def record(self) -> Record:
        """What is remembered; an empty record where nothing is. A damaged file is wrong use."""
        try:
            text = _text_of(self._file)
            return _record_of(json.loads(text)) if text else Record()
        except (ValueError, TypeError, KeyError, AttributeError):
            raise wrong_use(f"{self._file.relative_to(self._folder.parent)} is damaged; move it away") from None

    def keep(self, record: Record) -> None:
        """Remember this instead."""
        self._write(self._file, json.dumps(asdict(record), indent=2))

    def access_token(self) -> str:
        """`NAME:TOKEN` of the token that `setup` made; empty for none."""
        return _text_of(self.token_file)

    def keep_access_token(self, text: str) -> None:
        """Keep the token before Fly is told of it: afterwards nobody could read it back."""
        self._write(self.token_file, text + "\n")

    def forget_access_token(self) -> None:
        """It is good for nothing any more."""
        self.token_file.unlink(missing_ok=True)

    def deploy_token(self) -> str:
        """A deploy token that waits to be stored; empty for none."""
        return _text_of(self.deploy_token_file)

    def keep_deploy_token(self, text: str) -> None:
        """Keep a deploy token until it is stored."""
        self._write(self.deploy_token_file, text + "\n")

    def forget_deploy_token(self) -> None:
        """It is kept elsewhere now."""
        self.deploy_token_file.unlink(missing_ok=True)

    @property
    def _before_file(self) -> Path:
        return self._folder / f"{self._app}.before.json"

    def before(self) -> str:
        """What served before a deployment whose end nobody has seen; empty for none."""
        return _text_of(self._before_file)

    def keep_before(self, text: str) -> None:
        """Keep it until the deployment is tested or undone."""
        self._write(self._before_file, text)

    def forget_before(self) -> None:
        """Its end was seen."""
        self._before_file.unlink(missing_ok=True)

    def forget(self) -> None:
        """Remove everything of this app."""
        drafts = self._folder.glob(f".{self._app}.*")  # of a task that was killed as it wrote
        for path in (self._file, self._before_file, self.token_file, self.deploy_token_file, *drafts):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Only one task at a time changes an app from here."""
        import fcntl

        self._make_folder()
        with open(self._folder / f"{self._app}.lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise wrong_use(f"another task is changing {self._app} right now; wait until it is done") from None
            yield

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._folder.chmod(0o700)
        ignore = self._folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")

    def _write(self, path: Path, text: str) -> None:
        """For its owner's eyes only, from the first byte on."""
        self._make_folder()
        whole_file.write(path, text, 0o600)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""


def _record_of(found: Any) -> Record:
    """The record of its JSON; raises for anything that is not one."""
    tokens = {part: tuple(Issued(**each) for each in found[part]) for part in ("issued", "staged", "sending")}
    names = {part: tuple(found[part]) for part in ("behind", "made")}
    record = Record(**{**found, **tokens, **names})
    words = [record.keys, record.sending_keys, record.removing, record.environment, *record.behind, *record.made]
    words += [word for each in (*record.issued, *record.staged, *record.sending) for word in (each.name, each.digest)]
    ends = [each.ends or 0.0 for each in (*record.issued, *record.staged, *record.sending)]
    if not all(isinstance(word, str) for word in (*words, *record.seen, *record.seen.values())):
        raise TypeError("a text is none")
    if not all(isinstance(end, int | float) for end in ends):
        raise TypeError("a time is none")
    return record
