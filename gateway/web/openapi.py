"""The OpenAPI document, made from the endpoints and their models, so that it cannot drift from them."""

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.web.api_endpoints import ROOT, Endpoint
from gateway.web.api_models import Problem

_REF = "#/components/schemas/{model}"
_PROBLEMS = {
    401: "No valid API key",
    403: "The key's role does not reach here",
    404: "No such thing",
    405: "Not for this method",
    409: "Exists already, or its state does not allow it",
    413: "The body is too large",
    415: "The body is of another type",
    422: "The input is wrong; `field` and `row` say where",
    503: "The database does not answer; try again later",
}


def document(endpoints: list[Endpoint]) -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    models = {model for e in endpoints for model in (e.takes, e.gives, e.query) if model} | {Problem}
    _, schemas = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=_REF,
    )
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(_plain_path(endpoint.path), {})[endpoint.method.lower()] = _operation(
            endpoint, schemas["$defs"]
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "SMS opt-out gateway", "version": _version()},
        "servers": [{"url": ROOT}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _plain_path(path: str) -> str:
    """`/campaigns/{id:int}` → `/campaigns/{id}`"""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": getattr(endpoint.handler, "__name__", ""),
        "summary": endpoint.summary,
        "description": f"Roles: {', '.join(sorted({*endpoint.roles, 'admin'}))}.",
        "responses": _responses(endpoint),
    }
    parameters = [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.takes is not None:
        operation["requestBody"] = {"required": True, "content": _bodies(endpoint)}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    kind = "application/x-ndjson" if endpoint.gives_lines else "application/json"
    good = {"description": "Done", "content": {kind: {"schema": _ref(endpoint.gives)}}}
    problem = {"application/json": {"schema": _ref(Problem)}}
    return {
        str(endpoint.status): good,
        **{str(status): {"description": told, "content": problem} for status, told in _PROBLEMS.items()},
    }


def _bodies(endpoint: Endpoint) -> dict[str, Any]:
    assert endpoint.takes is not None
    others = {kind: {"schema": {"type": "string"}} for kind in endpoint.also_takes}
    return {"application/json": {"schema": _ref(endpoint.takes)}, **others}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "integer", "minimum": 1} if kind == "int" else {"type": "string"},
        }
        for name, kind in re.findall(r"\{(\w+):?(\w*)\}", path)
    ]


def _query_parameters(model: type[BaseModel] | None, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if model is None:
        return []
    properties = schemas[model.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _version() -> str:
    try:
        return version("sms-optout-gateway")
    except PackageNotFoundError:
        return "0"
