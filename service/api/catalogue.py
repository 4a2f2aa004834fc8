"""GET /models and /models/{id}: the catalogue in OpenAI's shape."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import orjson
from fastapi import Request, Response

from service.gateway import Gateway
from service.routing.model import Model


async def list_models(request: Request) -> Response:
    """Every model."""
    gateway: Gateway = request.state.gateway
    listed = {"object": "list", "data": [model_object(model) for model in gateway.catalogue.models()]}
    return _json(orjson.dumps(listed))


async def get_model(request: Request) -> Response:
    """One model, by any spelling of its name. The id is read from the raw path: an encoded slash stays in it."""
    gateway: Gateway = request.state.gateway
    name = unquote(request.scope["plain_path"].removeprefix("/models/"), errors="replace")
    model = gateway.catalogue.find(name)
    if model is None:
        raise gateway.catalogue.not_found(name)
    return _json(orjson.dumps(model_object(model)))


def model_object(model: Model) -> dict[str, Any]:
    """A model in OpenAI's shape, with what clients read beyond it."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by or "poe",
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "architecture": {
            "input_modalities": sorted(model.input_modalities),
            "output_modalities": sorted(model.output_modalities),
        },
        "supported_features": sorted(model.features),
        "parameters": [_parameter(parameter) for parameter in model.parameters.values()],
    }


def _parameter(parameter: Any) -> dict[str, Any]:
    described = {"name": parameter.name, "schema": parameter.schema}
    if parameter.default is not None:
        described["default_value"] = parameter.default
    if parameter.description:
        described["description"] = parameter.description
    return described


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
