"""Derive service/contract/ from openapi.yaml: the models, the route table and the document's JSON twin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra import environ

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "openapi.yaml"
TARGET = ROOT / "service" / "contract"
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
COMPONENT = "#/components/schemas/"
HEADER = '"""{}\n\nGenerated from openapi.yaml by `invoke generate`; not to be edited.\n"""'

# With these the models judge as JSON Schema does: absent is not null, "1" is no number, the schema rules extra members.
MODEL_OPTIONS = (
    "--ignore-pyproject",
    *("--input-file-type", "openapi", "--schema-version", "3.2"),
    *("--output-model-type", "pydantic_v2.BaseModel"),
    *("--target-python-version", "3.11", "--target-pydantic-version", "2.14"),
    "--disable-timestamp",
    "--no-formatters",
    "--use-annotated",
    "--use-schema-description",
    "--use-type-alias",
    "--strict-nullable",
    "--use-missing-sentinel",
    "--use-typed-nullable-map-values",
    *("--enum-field-as-literal", "all"),
    *("--strict-types", "str", "bytes", "int", "float", "bool"),
    *("--naming-strategy", "full-path"),
    *("--import-overrides", '{"StrictInt": "service.contract.whole"}'),
)


def files() -> dict[Path, str]:
    """What is generated here, by its place."""
    document = yaml.load(SOURCE.read_bytes(), Loader=yaml.CSafeLoader)
    return {
        TARGET / "openapi.json": json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n",
        TARGET / "models.py": _models(document),
        TARGET / "routes.py": _routes(document),
    }


def _models(document: Mapping[str, Any]) -> str:
    """Pydantic models of everything that a request body can hold; answers are bytes that we write ourselves."""
    schemas = document["components"]["schemas"]
    wanted: set[str] = set()
    _collect(_request_bodies(document), schemas, wanted)
    reduced = {
        "openapi": document["openapi"],
        "info": {"title": "request bodies", "version": "1"},
        "paths": {},
        "components": {"schemas": {name: _bare(schemas[name]) for name in schemas if name in wanted}},
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "reduced.json"), Path(folder, "models.py")
        source.write_text(json.dumps(reduced), encoding="utf-8")
        files = ("--input", str(source), "--output", str(target))
        header = ("--custom-file-header", HEADER.format("What a request body can hold."))
        subprocess.run(
            (sys.executable, "-m", "datamodel_code_generator", *files, *MODEL_OPTIONS, *header),
            check=True,
            timeout=120,
            env=environ.for_development(os.environ),
        )
        return _format(target.read_text(encoding="utf-8"))


def _request_bodies(document: Mapping[str, Any]) -> list[Any]:
    return [operation.get("requestBody") for _, _, operation in _operations(document)]


def _collect(node: Any, schemas: Mapping[str, Any], found: set[str]) -> None:
    """Put the names of all components that `node` leads to into `found`."""
    for name in re.findall(rf'"{COMPONENT}(\w+)"', json.dumps(node)):
        if name not in found:
            found.add(name)
            _collect(schemas[name], schemas, found)


def _bare(schema: Any, *, inside: bool = False) -> Any:
    """The schema without what only people read, except the sentence on top, which becomes the docstring.

    `deprecated` goes as well: reading such a field would raise a warning in the very code that has to serve it.
    """
    if isinstance(schema, list):
        return [_bare(item, inside=True) for item in schema]
    if not isinstance(schema, dict):
        return schema
    prose = {"examples", "example", "deprecated"}
    if inside or schema.get("type") != "object":
        prose.add("description")
    return {
        key: {name: _bare(value, inside=True) for name, value in member.items()}
        if key == "properties"
        else _bare(member, inside=True)
        for key, member in schema.items()
        if key not in prose
    }


def _routes(document: Mapping[str, Any]) -> str:
    """The route table. `HEAD` has no row of its own: whatever answers `GET` answers it."""
    operations = [
        _row(document, method, path, operation)
        for method, path, operation in _operations(document)
        if method != "head" or "get" not in document["paths"][path]
    ]
    not_served = [(tuple(row["methods"]), row["path"]) for row in document["x-not-served"]]
    models = any("models." in row for row in operations)
    return _format(
        HEADER.format("The route table: every operation, and the known paths that are not served.")
        + "\n\nfrom __future__ import annotations\n\n"
        + ("from service.contract import models\n" if models else "")
        + "from service.contract.operation import Operation\n\n"
        + '__all__ = ["NOT_SERVED", "OPERATIONS", "Operation"]\n\n'
        + f"OPERATIONS: tuple[Operation, ...] = ({', '.join(operations)},)\n\n"
        + f"NOT_SERVED: tuple[tuple[tuple[str, ...], str], ...] = {tuple(not_served)!r}\n"
        + '"""Methods and path of what answers 501; `{name}` is one segment, `{+path}` one or more."""\n'
    )


def _row(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    schemes = operation.get("security", document["security"])
    security = tuple(name for alternative in schemes for name in alternative)
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    model = f"models.{body['schema']['$ref'].removeprefix(COMPONENT)}" if body else "None"
    answers = {
        int(status): tuple(_resolve(document, response).get("content", {}))
        for status, response in operation["responses"].items()
    }
    return (
        f"Operation(id={operation['operationId']!r}, method={method.upper()!r}, path={path!r}, "
        f"security={security!r}, request_model={model}, answers={answers!r})"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method in lower case, path and operation, in the document's order."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield method, path, operation


def _resolve(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    target: Any = document
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    return _resolve(document, target)


def _format(code: str) -> str:
    """The code in the house's style, whatever configuration lies around."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    style = ("--isolated", "--line-length", "120", "--target-version", "py311")
    for command in (("check", "--fix", "--select", "I,F401,UP,RUF036", "--preview", "--quiet"), ("format", "--quiet")):
        code = subprocess.run(
            (ruff, *command, *style, "-"),
            input=code,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=environ.for_development(os.environ),
        ).stdout
    return code
