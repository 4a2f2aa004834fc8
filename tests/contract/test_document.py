"""openapi.yaml is a valid document that a person can learn from, and everything derived from it is fresh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml
from openapi_spec_validator import OpenAPIV32SpecValidator

from infra import contract, generated
from service.contract import document, models
from service.contract.routes import NOT_SERVED, OPERATIONS

DOCUMENT: dict[str, Any] = orjson.loads(document.as_json())
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def test_generated_code_is_fresh() -> None:
    assert generated.stale(contract.files()) == []


def test_a_stale_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    changed = contract.SOURCE.read_text(encoding="utf-8").replace("maxItems: 4\n", "maxItems: 5\n")
    source = tmp_path / "openapi.yaml"
    source.write_text(changed, encoding="utf-8")
    monkeypatch.setattr(contract, "SOURCE", source)
    stale = generated.stale(contract.files())
    assert [line.split(" ")[0] for line in stale] == ["service/contract/openapi.json", "service/contract/models.py"]


def test_the_document_is_valid() -> None:
    OpenAPIV32SpecValidator(DOCUMENT).validate()


def test_the_twin_says_what_the_file_says() -> None:
    assert yaml.load(document.as_yaml(), Loader=yaml.CSafeLoader) == DOCUMENT


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("operation", [pytest.param(row[2], id=row[2]["operationId"]) for row in _operations()])
def test_every_operation_says_what_it_does_and_how_it_fails(operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["tags"]
    statuses = set(operation["responses"])
    assert {"200", "408", "431"} <= statuses
    protected = operation.get("security", DOCUMENT["security"]) != []
    assert ("401" in statuses) == protected
    if "requestBody" in operation:
        assert {"400", "413", "415"} <= statuses


def test_head_stands_wherever_get_stands() -> None:
    assert all(("get" in item) == ("head" in item) for item in DOCUMENT["paths"].values())


def test_the_route_table_has_every_operation_but_head() -> None:
    rows = {(row.path, row.method) for row in OPERATIONS}
    assert rows == {(path, method.upper()) for path, method, _ in _operations() if method != "head"}
    chat = next(row for row in OPERATIONS if row.id == "createChatCompletion")
    assert chat.request_model is models.ChatCompletionRequest
    assert chat.answers[200] == ("application/json", "text/event-stream")
    assert chat.security == ("bearer", "xApiKey", "apiKey", "xGoogApiKey", "queryKey")
    assert next(row for row in OPERATIONS if row.id == "health").security == ()


def test_what_is_not_served_does_not_hide_what_is() -> None:
    templates = [template for _, template in NOT_SERVED]
    assert len(templates) == len(set(templates))
    assert not set(templates) & set(DOCUMENT["paths"])


def _examples(node: Any, where: str = "#") -> Iterator[tuple[str, Any, Any]]:
    """Place, schema and value of every example in the document."""
    if isinstance(node, list):
        for place, member in enumerate(node):
            yield from _examples(member, f"{where}/{place}")
    if isinstance(node, dict):
        yield from _own_examples(node, where)
        for name, member in node.items():
            if name not in ("examples", "example"):
                yield from _examples(member, f"{where}/{name}")


def _own_examples(node: dict[str, Any], where: str) -> Iterator[tuple[str, Any, Any]]:
    examples = node.get("examples", {})
    if isinstance(examples, list):
        yield from ((f"{where}/examples", node, example) for example in examples)
    elif "itemSchema" in node:
        for name, example in examples.items():
            yield from ((f"{where}/{name}", node["itemSchema"], item) for item in example["dataValue"])
    elif isinstance(node.get("schema"), dict):
        yield from ((f"{where}/{name}", node["schema"], example["value"]) for name, example in examples.items())
        if "example" in node:
            yield f"{where}/example", node["schema"], node["example"]


def test_every_example_fits_its_schema() -> None:
    wrong = []
    examples = list(_examples(DOCUMENT))
    for where, schema, value in examples:
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
        wrong += [f"{where}: {error.message}" for error in validator.iter_errors(value)]
    assert wrong == []
    assert len(examples) > 40


def test_every_component_is_used() -> None:
    text = document.as_json().decode()
    shared = {"NotFound", "MethodNotAllowed", "NotServed"}  # what paths that are not in the document answer
    unused = [
        f"{kind}/{name}"
        for kind, members in DOCUMENT["components"].items()
        for name in members
        if kind != "securitySchemes" and f'"#/components/{kind}/{name}"' not in text and name not in shared
    ]
    assert unused == []
