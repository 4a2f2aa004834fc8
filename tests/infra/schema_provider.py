"""Terraform providers that know schemas and nothing else, served from this process.

A schema is a file in the shape of one provider of `terraform providers schema -json`. Terraform type-checks a module
against it: validate, test with mock_provider, and a plan or apply that calls nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

UNKNOWN = msgpack.ExtType(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4, "group": 5}
FLAGS = ("required", "optional", "computed", "sensitive")

Json = dict[str, Any]


def attribute(name: str, said: Json) -> Any:
    flags: Json = {flag: said[flag] for flag in FLAGS if flag in said}
    if nested := said.get("nested_type"):
        inner = [attribute(each, member) for each, member in nested["attributes"].items()]
        flags["nested_type"] = pb.Schema.Object(attributes=inner, nesting=NESTING[nested["nesting_mode"]])
    else:
        flags["type"] = json.dumps(said["type"]).encode()
    return pb.Schema.Attribute(name=name, **flags)


def block(said: Json) -> Any:
    return pb.Schema.Block(
        attributes=[attribute(name, member) for name, member in said.get("attributes", {}).items()],
        block_types=[
            pb.Schema.NestedBlock(
                type_name=name,
                block=block(nested["block"]),
                nesting=NESTING[nested["nesting_mode"]],
                min_items=nested.get("min_items", 0),
                max_items=nested.get("max_items", 0),
            )
            for name, nested in said.get("block_types", {}).items()
        ],
    )


def schema(said: Json) -> Any:
    return pb.Schema(version=said.get("version", 0), block=block(said["block"]))


def pack(value: Any) -> Any:
    return pb.DynamicValue(msgpack=msgpack.packb(value))


def unpack(value: Any) -> Any:
    return msgpack.unpackb(value.msgpack, ext_hook=msgpack.ExtType)


def fill(said: Json, value: Json, change: Callable[[str, Json, Any], Any]) -> Json:
    """Pass every attribute of the block, and of the blocks inside it, through `change`."""
    for name, member in said.get("attributes", {}).items():
        value[name] = change(name, member, value.get(name))
    for name, nested in said.get("block_types", {}).items():
        for inner in value.get(name) or []:
            fill(nested["block"], inner, change)
    return value


def plan(_: str, said: Json, value: Any) -> Any:
    """What is not known before the apply."""
    return UNKNOWN if value is None and said.get("computed") else value


def settle(name: str, said: Json, value: Any) -> Any:
    """A value for what was not known, the same each time."""
    if value != UNKNOWN:
        return value
    known = {"string": hashlib.sha256(name.encode()).hexdigest()[:8], "number": 1, "bool": False}
    kind = said["type"]
    return known.get(kind) if isinstance(kind, str) else None


def answer(name: str, said: Json, value: Any) -> Any:
    """What a data source says: nothing, as a service that holds nothing yet."""
    if value is None and said.get("computed") and not isinstance(said["type"], str):
        return []
    return settle(name, said, UNKNOWN if value is None and said.get("computed") else value)


class Provider(rpc.ProviderServicer):
    """One provider; `configured` counts how often Terraform gave it credentials."""

    def __init__(self, schemas: Json) -> None:
        self.provider = schemas["provider"]
        self.resources = schemas.get("resource_schemas", {})
        self.data = schemas.get("data_source_schemas", {})
        self.configured = 0

    def GetProviderSchema(self, request: Any, context: Any) -> Any:
        return pb.GetProviderSchema.Response(
            provider=schema(self.provider),
            resource_schemas={name: schema(said) for name, said in self.resources.items()},
            data_source_schemas={name: schema(said) for name, said in self.data.items()},
        )

    def ValidateProviderConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request: Any, context: Any) -> Any:
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, context: Any) -> Any:
        self.configured += 1
        return pb.ConfigureProvider.Response()

    def UpgradeResourceState(self, request: Any, context: Any) -> Any:
        return pb.UpgradeResourceState.Response(upgraded_state=pack(json.loads(request.raw_state.json)))

    def ReadResource(self, request: Any, context: Any) -> Any:
        return pb.ReadResource.Response(new_state=request.current_state)

    def ReadDataSource(self, request: Any, context: Any) -> Any:
        said = self.data[request.type_name]["block"]
        return pb.ReadDataSource.Response(state=pack(fill(said, unpack(request.config), answer)))

    def PlanResourceChange(self, request: Any, context: Any) -> Any:
        new = unpack(request.proposed_new_state)
        if new is not None and unpack(request.prior_state) is None:
            fill(self.resources[request.type_name]["block"], new, plan)
        return pb.PlanResourceChange.Response(planned_state=pack(new))

    def ApplyResourceChange(self, request: Any, context: Any) -> Any:
        new = unpack(request.planned_state)
        if new is not None:
            fill(self.resources[request.type_name]["block"], new, settle)
        return pb.ApplyResourceChange.Response(new_state=pack(new))

    def StopProvider(self, request: Any, context: Any) -> Any:
        return pb.StopProvider.Response()


@contextmanager
def serving(providers: Mapping[str, Provider]) -> Iterator[dict[str, str]]:
    """Serve each provider by its address ("grafana/grafana"); yields the environment in which Terraform finds them."""
    with TemporaryDirectory() as folder:
        servers: list[Any] = []
        found: Json = {}
        for address, provider in providers.items():
            socket = f"{folder}/{address.replace('/', '-')}"
            server = grpc.server(futures.ThreadPoolExecutor(8))
            rpc.add_ProviderServicer_to_server(provider, server)
            server.add_insecure_port(f"unix:{socket}")
            server.start()
            servers.append(server)
            found[address] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "unix", "String": socket},
            }
        try:
            yield {"TF_REATTACH_PROVIDERS": json.dumps(found)}
        finally:
            for server in servers:
                server.stop(0)


def load(path: Path) -> Provider:
    """The provider of a schema file."""
    return Provider(json.loads(path.read_text()))
