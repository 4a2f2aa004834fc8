"""Commands that only look at settings, keys, tokens and the failure table.

No value of a key or token is ever printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, NoReturn

from service import failures
from service import settings as all_settings
from service.errors import Failure, Kind
from service.settings import EXIT_BAD_SETTINGS, Settings, SettingsError
from service.values import specs
from service.values.specs import Examined, KeySpec, TokenSpec

MOST_CHECKS_AT_ONCE = 8


def main(argv: Sequence[str]) -> int:
    """Run one of the commands; the exit code: 0 good, 1 something is not, 78 a malformed setting."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "settings":
            return _settings(as_json=arguments.json)
        if arguments.command == "failures":
            print(failures.page())
            return 0
        return _check(arguments)
    except SettingsError as problem:
        print(problem, file=sys.stderr)
        return EXIT_BAD_SETTINGS


class _Asked(NamedTuple):
    """A key that Poe is asked about, its place in the list, and the answer to fill in."""

    key: KeySpec
    place: int
    result: dict[str, Any]


class _Parser(argparse.ArgumentParser):
    """Says that something is wrong without repeating it: it may be a key in the wrong place."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: wrong use; values of keys and tokens are read from standard input only\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m service", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("settings", help="the settings with their values, secrets masked", allow_abbrev=False)
    table.add_argument("--json", action="store_true", help="names, defaults and meanings, whatever is set")
    check = commands.add_parser("check", help="whether keys and tokens are good, as JSON", allow_abbrev=False)
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("--keys", choices=["-"], metavar="-", help="read Poe keys from standard input")
    what.add_argument("--tokens", choices=["-"], metavar="-", help="read access tokens from standard input")
    check.add_argument("--offline", action="store_true", help="do not ask Poe whether the keys work")
    commands.add_parser("failures", help="the failure table, as Markdown", allow_abbrev=False)
    return parser


def _settings(*, as_json: bool) -> int:
    described = all_settings.described()
    if as_json:
        print(json.dumps([asdict(each) for each in described], indent=2))
        return 0
    settings = all_settings.load()
    rows = [("NAME", "VALUE", "DEFAULT", "MEANING")]
    rows += [(each.name, _shown(settings, each.name), each.default or "–", each.meaning) for each in described]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]))
    return 0


def _shown(settings: Settings, name: str) -> str:
    """A value as one would write it; of keys and tokens the names alone."""
    value = getattr(settings, name.lower())
    if name == "POE_API_KEYS" or name == "ACCESS_TOKENS":
        value = [f"{owner}:***" for owner in dict.fromkeys(spec.name for spec in value)]
    elif name == "FALLBACKS":
        value = [f"{model}={'|'.join(others)}" for model, others in value.items()]
    if isinstance(value, (list, tuple)):
        return ",".join(value) or "–"
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"


def _check(arguments: argparse.Namespace) -> int:
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        print("standard input is not UTF-8", file=sys.stderr)
        return 1
    if not text.strip():
        print("standard input is empty", file=sys.stderr)
        return 1
    if arguments.tokens:
        results = [_token_result(item) for item in specs.examine_tokens(text)]
    else:
        results = _key_results(specs.examine_keys(text), offline=arguments.offline)
    print(json.dumps(results, indent=2))
    return 1 if any(result["problem"] for result in results) else 0


def _token_result(item: Examined[TokenSpec]) -> dict[str, Any]:
    return {
        "name": item.name,
        "well_formed": item.spec is not None,
        "digest": None if item.spec is None else f"sha256-{item.spec.digest.hex()}",
        "ends": None if item.spec is None else item.spec.ends,
        "problem": item.problem,
    }


def _key_results(items: list[Examined[KeySpec]], *, offline: bool) -> list[dict[str, Any]]:
    results = [
        {
            "name": item.name,
            "account": None if item.spec is None else item.spec.account,
            "well_formed": item.spec is not None,
            "alive": None,
            "points": None,
            "problem": item.problem,
        }
        for item in items
    ]
    if not offline:
        # Only Poe's address is wanted here: a malformed key in the environment must not get in the way.
        base_url = all_settings.load(overrides={"POE_API_KEYS": "", "ACCESS_TOKENS": ""}).poe_base_url
        triples = enumerate(zip(items, results, strict=True), 1)
        asked = [_Asked(item.spec, place, result) for place, (item, result) in triples if item.spec is not None]
        asyncio.run(_ask_all(base_url, asked))
    return results


async def _ask_all(base_url: str, asked: list[_Asked]) -> None:
    import aiohttp  # here, since it costs more to import than the rest of a command takes

    from service.keys.balance import fetch_balance

    slots = asyncio.Semaphore(MOST_CHECKS_AT_ONCE)

    async def ask(one: _Asked) -> None:
        async with slots:
            # A key without a name of its own is found by its place alone.
            which = f"`{one.key.name}` (item {one.place})"
            try:
                one.result["points"] = await fetch_balance(session, base_url, one.key.secret)
                one.result["alive"] = True
            except Failure as failure:
                one.result["problem"] = f"{which}: {failure.message}"
                if failure.kind is Kind.KEY_REVOKED:
                    one.result["alive"] = False
                    one.result["problem"] = f"{which}: Poe does not accept this key."

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*map(ask, asked))
