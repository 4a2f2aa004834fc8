"""What a task says: colour and progress on a terminal, plain lines elsewhere, one JSON value with `--json`."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from infra import hints
from infra.fly import wrong_use
from infra.redact import Redactor
from infra.wrap import wrapped

if TYPE_CHECKING:
    import rich.console
    import rich.status

GOOD, BAD, OPEN = "ok", "failed", "open"
HIDDEN = " (stays hidden as you type)"
_MARKS = {GOOD: ("[green]✓[/]", "ok"), BAD: ("[red]✗[/]", "failed"), OPEN: ("[yellow]![/]", "open")}


class Console:
    """Standard output is for what was asked for; progress, warnings and questions go to standard error."""

    def __init__(self, redact: Redactor, *, as_json: bool = False, dry_run: bool = False, app: str = "") -> None:
        self._redact: Callable[[str], str] = lambda text: hints.about(app, redact(text))
        self._as_json = as_json
        self._dry_run = dry_run
        self._status: rich.status.Status | None = None
        self._out = _terminal(sys.stdout) if not (as_json or dry_run) else None
        self._err = _terminal(sys.stderr)
        self.noted: list[str] = []

    @property
    def shows(self) -> bool:
        """Whether people read standard output now."""
        return not (self._as_json or self._dry_run)

    @property
    def on_terminal(self) -> bool:
        """Whether standard output is a terminal that is more than lines."""
        return self._out is not None

    def line(self, text: str = "") -> None:
        """A line of the answer."""
        if self.shows:
            self._print(text, self._out, sys.stdout)

    def clear(self) -> None:
        """An empty screen for what is shown again, on a terminal; elsewhere an empty line."""
        if self._out is not None:
            self._out.clear()
        else:
            self.line()

    def say(self, text: str) -> None:
        """A line beside the answer."""
        self._print(text, self._err, sys.stderr)

    def point(self, mark: str, name: str, text: str, fix: str = "") -> None:
        """One row of a list of things that are good or not; `fix` is what to do about it."""
        if not self.shows:
            return
        shown, plain = _MARKS[mark]
        rest = f"{text} → {fix}" if fix else text
        if self._out is not None:
            self._out.print(shown, f"[bold]{name:<14}[/]", end=" ")
            self._print(rest, self._out, sys.stdout, " " * 17)
        else:
            self._print(f"{plain:<7} {name:<14} {rest}".rstrip(), None, sys.stdout)

    def done(self, name: str, text: str) -> None:
        """A step that is done, beside the answer."""
        if self._err is not None:
            self._err.print("[green]✓[/]", f"[bold]{name}[/]", end=" ")
            self._print(text, self._err, sys.stderr, " " * (len(name) + 3))
        else:
            self._print(f"{name}: {text}", None, sys.stderr)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "nothing") -> None:
        """Rows under a head; cells are shown as text."""
        if not self.shows:
            return
        cells = [[self._redact(str(cell)) for cell in row] for row in rows]
        if not cells:
            self.line(empty)
        elif self._out is not None:
            from rich.table import Column, Table
            from rich.text import Text

            # On a narrow terminal cells go on below: a machine's id with its end cut off is of no use.
            columns = [Column(each, overflow="fold") for each in head]
            table = Table(*columns, box=None, pad_edge=False, header_style="bold")
            for row in cells:
                table.add_row(*map(Text, row))
            self._out.print(table)
        else:
            widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
            for line in (head, *cells):
                print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def note(self, argv: str) -> None:
        """One argument list of a dry run."""
        self.noted.append(argv)
        if not self._as_json:
            print(argv)

    def hear(self, line: str) -> None:
        """A line of a program that runs: under the spinner on a terminal, indented elsewhere."""
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(self._redact(line)))
        else:
            self._print(f"  {line}", None, sys.stderr)

    @contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Something that takes a while."""
        if self._err is None:
            self.say(f"{text} …")
            yield
            return
        with self._err.status(self._redact(text)) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def result(self, value: Any) -> None:
        """The answer for scripts."""
        if self._as_json:
            answer = {"dry_run": self.noted} if self._dry_run else value
            print(json.dumps(self._clean(answer), indent=2, ensure_ascii=False, allow_nan=False))

    def _clean(self, value: Any) -> Any:
        """The value without secrets. In the JSON text they could be spelt otherwise, and taking them out break it."""
        if isinstance(value, Mapping):
            return {self._redact(str(key)): self._clean(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean(each) for each in value]
        return value if value is None or isinstance(value, (bool, int, float)) else self._redact(str(value))

    def secret(self, text: str) -> None:
        """A line with a secret in it, for the one person who asked for it: the only place that shows one."""
        if self.shows:
            print(text)

    def ask(self, question: str, *, hidden: bool = False, otherwise: str, default: str = "") -> str:
        """What somebody types, `default` for Enter alone, nothing for Ctrl-D; `otherwise` is what to do where nobody
        can be asked.
        """
        question += HIDDEN * hidden
        if not asks():
            raise wrong_use(f"{otherwise} (there is no terminal to ask at)")
        answer = ""
        with self._still():
            try:
                sys.stderr.write("" if hidden else f"{question}: ")
                sys.stderr.flush()
                answer = getpass.getpass(f"{question}: ", sys.stderr) if hidden else sys.stdin.readline()
            except EOFError:
                pass
            finally:
                if not answer:  # Ctrl-C or Ctrl-D: what follows gets a line of its own
                    self.say("")
        return answer.strip() or (default if answer else "")

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Whether to go on; in a dry run nothing needs asking."""
        if yes or self._dry_run:
            return True
        return self.ask(f"{question} [y/N]", otherwise="give --yes to go on without a question").lower() in ("y", "yes")

    @contextmanager
    def _still(self) -> Iterator[None]:
        """No spinner paints over a question."""
        status = self._status
        if status is not None:
            status.stop()
        try:
            yield
        finally:
            if status is not None:
                status.start()

    def _print(self, text: str, terminal: rich.console.Console | None, plain: Any, indent: str = "") -> None:
        """Lines; on a terminal those that stand behind something, or beside the answer, are broken between words."""
        clean = "\n".join(self._redact(line) for line in text.split("\n"))
        if terminal is not None and (indent or plain is sys.stderr):
            clean = "\n".join(wrapped(line, terminal.width, indent, len(indent)) for line in clean.split("\n"))
        try:
            if terminal is not None:
                terminal.print(clean, markup=False, highlight=False, soft_wrap=True)
            else:
                print(clean, file=plain, flush=True)
        except OSError:
            # Nobody reads any more. What is said beside the answer must not end a deployment half-way.
            if plain is not sys.stderr:
                raise


def asks() -> bool:
    """Whether somebody sits there."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _terminal(stream: Any) -> rich.console.Console | None:
    """Rich's console for a terminal that wants more than plain lines, else None."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return None
    from rich.console import Console as RichConsole

    return RichConsole(file=stream)
