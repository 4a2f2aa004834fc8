"""The program behind `./dev`: invoke, with one-line refusals, telling exit codes and a list that reads as a manual."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import io
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Set
from itertools import chain, groupby
from typing import Any

from invoke import Argument, Collection, Exit, ParseError, ParserContext, Program, Task

from infra import process
from infra.fly_task import COMMON
from infra.task import INTERRUPTED, ExitCode, of_system
from infra.wrap import columns, whole, wrapped

Job = Task[Callable[..., Any]]
RELAYED = ("bench",)
"""Tasks that are another program's command line: every word after their name is for that program."""
MISSING_VALUE = re.compile(r"Flag '?<Argument: ([\w-]+).* needed value")
UNKNOWN_WORD = re.compile(r"No idea what '(.*)' is!")
UNKNOWN_TOPIC = re.compile(r"Sub-collection '(.*)' not found!")
MEANINGLESS = ("command-timeout", "config", "dry", "echo", "hide", "prompt-for-sudo-password", "pty", "warn-only")
"""invoke's own flags for commands that it runs itself. Ours run none by it: `--dry` before `deploy` would deploy."""
BROKEN_PIPE = 141
"""As a shell tells a program that was ended by SIGPIPE."""


class Tasks(Program):
    """invoke's `Program`, whose own answer to wrong use is a traceback or exit code 1."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Run the tasks that `argv` names and leave with the exit code of the first that fails."""
        code: int = ExitCode.DONE
        try:
            self._steps(argv)
        except ParseError as error:
            code = ExitCode.WRONG_USE
            _say(f"{self.binary}: {self._plainly(error)}")
        except Exit as error:
            code = error.code
            if error.message:
                _say(error.message)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:  # `./dev logs | head`: whoever read has enough
            code = BROKEN_PIPE
        except OSError as error:  # a full disk, a folder that may not be written
            code = ExitCode.FAILED
            _say(f"{self.binary}: {of_system(error)}")
        if exit:
            sys.exit(code)

    def normalize_argv(self, argv: list[str] | None) -> None:
        """invoke's own, and the words for another program put behind `--`, where invoke does not look at them."""
        super().normalize_argv(argv)
        name, words = self.argv[1:2], self.argv[2:]
        if name and name[0] in RELAYED and words and "--" not in words:
            self.argv = [self.argv[0], *name, "--", shlex.join(words)]

    def _steps(self, argv: list[str] | None) -> None:
        self.create_config()
        try:
            self.parse_core(argv)
            self._refuse_stray_words()
            self.parse_collection()
            self.parse_tasks()
            self._refuse_what_would_be_ignored()
        except ValueError as error:  # invoke lets the conversion of `--machines two` escape as it is
            raise ParseError(self._no_number(str(error).rpartition(": ")[2])) from error
        try:
            self.parse_cleanup()
        except Exit as ended:
            if ended.message:  # a list or help asked of what is not there
                raise ParseError(ended.message) from ended
            raise
        self.update_config()
        self.execute()

    def _refuse_stray_words(self) -> None:
        if self.argv[1:2] and self.argv[1] in RELAYED:
            return
        if self.core.remainder:
            raise ParseError(f"unknown word {shlex.quote(self.core.remainder)}; no task takes words behind --")
        # `--app "$APP"` with nothing in APP must not act on fly.toml's app instead.
        for before, word in zip(self.argv, self.argv[1:], strict=False):
            if not word or (word.startswith("--") and word.endswith("=")):
                raise ParseError(f"{word.rstrip('=') or before} needs a value, and got an empty one")

    def _refuse_what_would_be_ignored(self) -> None:
        for name in MEANINGLESS:
            if self.args[name].value != self.args[name].default:
                raise ParseError(self._meaningless(name))
        for context in self.tasks:
            for flag in context.args.values():
                # A 0 is how such a flag says that it was not given, so that a 0 that was given would be passed over.
                if flag.kind is int and not flag.default and flag.got_value and flag.value <= 0:
                    shown = _shape(flag).partition(" ")[0]
                    page = f"{self.binary} {context.name} --help tells more"
                    raise ParseError(f"{shown} takes a whole number above 0, not {flag.value}; {page}")

    def _plainly(self, error: ParseError) -> str:
        """invoke's sentence in terms of what was typed."""
        text = str(error)
        if missing := MISSING_VALUE.search(text):
            name = missing[1]
            return self._meaningless(name) if name in MEANINGLESS else f"{self._typed(name)} needs a value"
        if unknown := UNKNOWN_WORD.search(text):
            return self._unknown(unknown[1], error.context)
        if topic := UNKNOWN_TOPIC.search(text):
            return f"unknown topic {shlex.quote(topic[1])}; {self.binary} --list shows what there is"
        return text

    def _meaningless(self, name: str) -> str:
        """What to say of a flag of invoke's own that does nothing here, with the one that may have been meant."""
        typed = self._typed(name)
        if name == "dry":
            return f"{typed} means nothing to these tasks; did you mean --dry-run, behind the task's name?"
        own = self._own_words()
        task = next((word for word in self.argv[1:] if word in own), "")
        near = [flag for flag in own.get(task, ()) if flag.startswith(f"-{typed}")]
        return f"{typed} means nothing to these tasks" + "".join(f"; did you mean {flag}?" for flag in near[:1])

    def _typed(self, name: str) -> str:
        """One of invoke's own flags as it was typed, which may be by its one letter."""
        letters = {f"-{each}" for flag in self.core_args() if flag.name == name for each in flag.nicknames}
        return next((word[:2] for word in self.argv[1:] if word[:2] in letters), f"--{name}")

    def _unknown(self, word: str, context: ParserContext | None) -> str:
        """What to say of a word that nobody knows, with the one that may have been meant."""
        task, own = (context.name if context else None), self._own_words()
        flags = set(own[task] if task else chain(*own.values()))
        if word in flags:  # only before a task can it be unknown
            return f"{word} belongs behind the task's name"
        general = [f"--{flag.name}" for flag in self.core_args() if flag.name not in MEANINGLESS]
        near = difflib.get_close_matches(word, sorted({*own, *flags, *general}), n=1)
        page = f"{task} --help shows its flags" if task else "--list shows what there is"
        behind = ", behind the task's name" * (not task and not flags.isdisjoint(near))
        hint = f"did you mean {near[0]}{behind}?" if near else f"{self.binary} {page}"
        return f"unknown word {shlex.quote(word)}; {hint}"

    def _own_words(self) -> dict[str, list[str]]:
        """Each task's flags as they are typed, by each of its names."""
        contexts = self.namespace.to_contexts() if self.namespace else ()
        return {name: list(each.flags) for each in contexts for name in (each.name or "", *each.aliases)}

    def _no_number(self, value: str) -> str:
        """What to say of a value, as Python quotes it, that invoke could not convert."""
        flags = [word.partition("=")[0] for word in self.argv if repr(word.partition("=")[2]) == value]
        flags += [before for before, word in zip(self.argv, self.argv[1:], strict=False) if repr(word) == value]
        return f"{flags[0] if flags else 'a flag'} takes a whole number, not {value}"

    def no_tasks_given(self) -> None:
        """Without a task: the list."""
        self.print_help()
        raise Exit

    def print_version(self) -> None:
        """The version of the service in this folder."""
        from infra import deploy  # here, so that a list of tasks needs nothing of it

        print(f"poe-proxy {deploy.version_here()}")

    def print_help(self) -> None:
        """The same page for `--help`, `--list` and nothing at all."""
        self.list_flat()

    def list_flat(self) -> None:
        """Every task under the sentence that opens its module, with its flags and what it does."""
        _tell(f"Usage: {self.binary} TASK [--flags] …   ({self.binary} TASK --help explains its flags)")
        common = " ".join(_shape(flag) for flag in self._flags(next(iter(self._of_fly()), "")) if flag.name in COMMON)
        if common:
            _tell(f"Tasks marked * act on the app at Fly.io and also take {common}")
        marked = {self.collection[name].body for name in self._of_fly()}
        inside = f"{self.list_root}." if self.list_root else ""  # `--list certs` is about one topic
        listed = (named for named in _by_module(self.collection, marked) if named[0].startswith(inside))
        for heading, tasks in groupby(listed, key=lambda named: _heading(named[1])):
            print()
            _tell(heading)
            for name, task in tasks:
                own = [_shape(flag) for flag in self._flags(name) if not (task.body in marked and flag.name in COMMON)]
                mark = " *" * (task.body in marked)
                _tell(f"  {' '.join([_plain(name, self.collection), *map(whole, own)])}{mark}", " " * 8)
                _tell(f"      {_summary(task)}", " " * 6)

    def print_task_help(self, name: str) -> None:
        """One task's docstring and its flags."""
        task, flags = self.collection[name], self._flags(name)
        usage = [self.binary, _plain(name, self.collection), *(whole(f"[{_shape(flag)}]") for flag in flags)]
        _tell(f"Usage: {' '.join(usage)}", " " * 7)
        for paragraph in _paragraphs(inspect.cleandoc(task.__doc__ or "")):
            print()
            _tell(paragraph)
        if flags:
            print()
        for flag in flags:
            _tell(f"  {_shape(flag):<24} {_meaning(flag)}", " " * 27)

    def _flags(self, name: str) -> list[Argument]:
        return list(self.parser.contexts[name].args.values()) if name else []

    def _of_fly(self) -> list[str]:
        """The tasks that take all common flags."""
        return [name for name in self.collection.task_names if set(COMMON) <= {flag.name for flag in self._flags(name)}]


def _by_module(collection: Collection, of_fly: Set[object]) -> Iterator[tuple[str, Job]]:
    """The tasks with their names, those of a module together; last the modules that have nothing to do with Fly."""
    named = [(name, collection[name]) for name in collection.task_names]
    order = list(dict.fromkeys(task.body.__module__ for _, task in named))
    ours = {task.body.__module__ for _, task in named if task.body in of_fly}
    yield from sorted(
        named, key=lambda pair: (pair[1].body.__module__ not in ours, order.index(pair[1].body.__module__))
    )


def _paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs; what the task runs is one of its own, and no command in it is broken in two."""
    found = re.split(r"\n\n+|\n(?=Runs: )", text)
    return [" · ".join(map(whole, each.split(" · "))) if each.startswith("Runs: ") else each for each in found]


def _plain(name: str, collection: Collection) -> str:
    """The shortest name of a task: a topic's alone for its first task."""
    return min(
        next([each, *others] for each, others in collection.task_names.items() if name in (each, *others)), key=len
    )


def _heading(task: Job) -> str:
    return (sys.modules[task.body.__module__].__doc__ or "").strip().partition("\n")[0]


def _summary(task: Job) -> str:
    return (task.__doc__ or "").strip().partition("\n")[0]


def _shape(flag: Argument) -> str:
    """`--select EXPRESSION`: a flag's help opens with its placeholder and a colon where it takes a value."""
    name = (flag.name or "").replace("_", "-")
    if flag.kind is bool:
        return f"--no-{name}" if flag.default else f"--{name}"
    placeholder, colon, _ = (flag.help or "").partition(":")
    return f"--{name} {placeholder if colon else name.upper()}"


def _meaning(flag: Argument) -> str:
    text = flag.help or ""
    if flag.kind is bool:
        return text
    return text.partition(":")[2].strip() or text


def _tell(text: str, indent: str = "") -> None:
    """Text on standard output. What was laid out in lines of its own stays as it is."""
    laid_out = "\n " in text
    print(wrapped(text, 0 if laid_out else columns(sys.stdout), indent))


def _say(line: str) -> None:
    """A line on standard error, where anybody still reads it."""
    with contextlib.suppress(OSError):
        print("\n".join(wrapped(each, columns(sys.stderr)) for each in line.split("\n")), file=sys.stderr)


def leave(code: int) -> None:
    """End the process with this code, whoever still reads its output or not, and whatever threads are left behind.

    One that waits for a name server or a machine would hold it for as long; the task did not wait for it either.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            # Python itself flushes once more at its end, and complains.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                code = code or ExitCode.FAILED
                _say(f"./dev: {of_system(error)}")
            elif stream is sys.stdout:
                code = code or BROKEN_PIPE
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


def main() -> None:
    """Run `tasks.py` under our rules."""
    import tasks

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, io.UnsupportedOperation):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a mark that a terminal lacks is no failure
    process.heed_signals()
    try:
        Tasks(name="./dev", binary="./dev", namespace=tasks.namespace).run()
    except SystemExit as ended:
        leave(int(ended.code or 0))


if __name__ == "__main__":
    main()
