"""Name what a kept schema says differently from the real provider's (`terraform providers schema -json` on stdin).

As a program: schema_drift.py schemas/NAME.json …, exit code 1 where something differs. `--cut NAME.json` writes the
kept file anew from the real schema instead.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FACTS = ("type", "required", "optional", "computed", "sensitive", "write_only")
KINDS = ("resource_schemas", "data_source_schemas")
PROSE = ("description", "description_kind", "deprecated")

Json = dict[str, Any]


def differences(where: str, kept: Json, real: Json) -> Iterator[str]:
    """One line for each fact of a block that differs."""
    for name, said in kept.get("attributes", {}).items():
        other = real.get("attributes", {}).get(name)
        if other is None:
            yield f"{where}.{name}: the provider has none"
            continue
        for fact in FACTS:
            if (said.get(fact) or None) != (other.get(fact) or None):
                yield f"{where}.{name}.{fact}: {said.get(fact)} here, {other.get(fact)} there"
    for name, said in real.get("attributes", {}).items():
        if said.get("required") and name not in kept.get("attributes", {}):
            yield f"{where}.{name}: required there"
    for name, said in kept.get("block_types", {}).items():
        other = real.get("block_types", {}).get(name)
        if other is None or other["nesting_mode"] != said["nesting_mode"]:
            yield f"{where}.{name}: another kind of block there"
        else:
            yield from differences(f"{where}.{name}", said["block"], other["block"])


def drift(kept: Json, real: Json) -> list[str]:
    """One line for each difference of two providers' schemas."""
    found: list[str] = []
    for kind in KINDS:
        for name, said in kept.get(kind, {}).items():
            other = real.get(kind, {}).get(name)
            found += differences(name, said["block"], other["block"]) if other else [f"{name}: the provider has none"]
    return found


def cut(kept: Json, real: Json) -> Json:
    """The real schema of what the kept one names, without prose."""
    chosen: Json = {kind: {name: real[kind][name] for name in kept.get(kind, {})} for kind in KINDS}
    return _plain({"provider": real["provider"], **chosen})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in PROSE or isinstance(inner, dict)}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    real = json.load(sys.stdin)["provider_schemas"]
    cutting = "--cut" in sys.argv
    found: list[str] = []
    for path in [Path(word) for word in sys.argv[1:] if word != "--cut"]:
        kept = json.loads(path.read_text())
        (address,) = [each for each in real if each.endswith("/" + path.stem)]
        if cutting:
            path.write_text(json.dumps(cut(kept, real[address]), indent=1, sort_keys=True) + "\n")
        found += drift(kept, real[address])
    print("\n".join(found) or "no differences")
    sys.exit(bool(found) and not cutting)


if __name__ == "__main__":
    main()
