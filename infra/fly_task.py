"""The decorator of the tasks on Fly: it adds the four flags that all of them take, and makes every end a clear one."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import Context, Exit, Task

from infra.task import INTERRUPTED, ExitCode, of_system, task

if TYPE_CHECKING:
    from infra.session import Session

COMMON = {
    "app": "NAME: the app; without it FLY_APP, then fly.toml",
    "dry_run": "print what would run, one command a line, and change nothing",
    "json": "answer with one JSON value",
    "yes": "ask nothing",
}
Body = Callable[..., Any]


def fly_task(help: Mapping[str, str] | None = None, *, name: str = "") -> Callable[[Body], Task[Any]]:
    """Make a task of `body(session, **flags)`; what it returns is the answer of `--json`."""

    def decorate(body: Body) -> Task[Any]:
        @functools.wraps(body)
        def run(
            c: Context, *, app: str = "", dry_run: bool = False, json: bool = False, yes: bool = False, **flags: Any
        ) -> None:
            from infra import session  # here, so that a list of tasks needs nothing of it

            with session.opened(app, dry_run=dry_run, as_json=json, yes=yes) as opened:
                try:
                    opened.console.result(body(opened, **flags))
                except KeyboardInterrupt:
                    raise Exit(f"interrupted; {_so_far(opened)}", code=INTERRUPTED) from None
                except BrokenPipeError:
                    raise
                except OSError as problem:
                    told = f"{of_system(problem)}; {_so_far(opened)}"
                    raise Exit(opened.redact(told), code=int(ExitCode.FAILED)) from None
                except (LookupError, TypeError, ValueError, AttributeError) as surprise:
                    raise Exit(opened.redact(_surprised(surprise)), code=int(ExitCode.FAILED)) from None

        run.__signature__ = _signature(body)  # type: ignore[attr-defined]
        made: Task[Any] = task(name=name or None, help={**(help or {}), **COMMON})(run)
        return made

    return decorate


def _signature(body: Body) -> inspect.Signature:
    own = list(inspect.signature(body).parameters.values())[1:]
    word = inspect.Parameter.POSITIONAL_OR_KEYWORD
    defaults = {"app": "", "dry_run": False, "json": False, "yes": False}
    common = [inspect.Parameter(each, word, default=default) for each, default in defaults.items()]
    return inspect.Signature([inspect.Parameter("c", word), *own, *common])


def _surprised(surprise: Exception) -> str:
    """One line for what should not happen: mostly an answer of flyctl's in another shape than its version had."""
    frames = traceback.extract_tb(surprise.__traceback__)
    place = next((f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames)), "?")
    return f"unexpected {type(surprise).__name__} at {place}: {str(surprise)[:200]}; is flyctl of another version?"


def _so_far(session: Session) -> str:
    """What was done, what was begun and may be half done, and how to go on."""
    begun = session.begun
    parts = [f"done so far: {', '.join(session.finished)}"] if session.finished else []
    parts += [f"begun: {', '.join(dict.fromkeys(begun))}"] if begun else []
    back = " (`./dev status` shows what runs, `./dev rollback` goes back)" if "flyctl deploy" in begun else ""
    return f"{'; '.join(parts) or 'nothing was changed'}{back}. The same command goes on from there."
