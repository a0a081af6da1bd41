"""How the API's endpoints are declared, checked and answered. `gateway.web.api` says which there are."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway.errors import BadInput, GatewayError, NotFound
from gateway.keys import Key
from gateway.models import Role
from gateway.web import auth
from gateway.web.context import Context, context
from gateway.web.headers import read_limited

ROOT = "/api/v1"
MOST_ID = 2**63 - 1
MOST_ACTOR = 80
# 100,000 numbers; 57 MB stopped the event loop for 1 s and took 1.1 GB. CSV streams and may be larger.
MOST_JSON = 2 * 1024 * 1024


class MethodNotAllowed(GatewayError):
    """The path is there, but not for this method."""

    status = 405
    log = False


class UnsupportedType(BadInput):
    """The body is of a type that this endpoint does not read."""

    status = 415


@dataclass(frozen=True, slots=True)
class Call:
    """One request by somebody who may make it."""

    request: Request
    key: Key
    context: Context

    @property
    def id(self) -> int:
        """The id in the path. Raises NotFound for one that no table can hold."""
        number: int = self.request.path_params["id"]
        if not 0 < number <= MOST_ID:
            raise NotFound("There is nothing by this id.")
        return number

    @property
    def actor(self) -> str:
        return f"key:{self.key.name}"[:MOST_ACTOR]


Handler = Callable[..., Awaitable[BaseModel | Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    `takes` is read from the JSON body, `query` from the query string; the handler gets either behind the
    call. `also_takes` are further content types that the handler reads by itself, `large` lets bodies be as
    large as an upload, `gives_lines` says that the answer is one `gives` a line.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    roles: tuple[Role, ...]
    gives: type[BaseModel]
    status: int
    takes: type[BaseModel] | None
    query: type[BaseModel] | None
    also_takes: tuple[str, ...]
    large: bool
    gives_lines: bool

    async def answer(self, request: Request) -> Response:
        key = await auth.require(*self.roles)(request)
        call = Call(request, key, context(request))
        result = await self.handler(call, *await self._forms(request))
        if isinstance(result, Response):
            return result
        return JSONResponse(result.model_dump(mode="json"), status_code=self.status)

    async def _forms(self, request: Request) -> list[BaseModel]:
        if self.query is not None:
            return [checked(self.query, dict(request.query_params))]
        if self.takes is None or content_type(request) in self.also_takes:
            return []
        settings = context(request).settings
        limit = min(MOST_JSON, settings.max_upload_bytes) if self.large else settings.max_body_bytes
        return [await json_body(request, self.takes, limit)]


class Endpoints:
    """The endpoints of the API, as they are declared."""

    def __init__(self) -> None:
        self.all: list[Endpoint] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        roles: tuple[Role, ...],
        gives: type[BaseModel],
        status: int = 200,
        takes: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        also_takes: tuple[str, ...] = (),
        large: bool = False,
        gives_lines: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Declares a handler; the first sentence of its docstring is its summary."""

        def declare(handler: Handler) -> Handler:
            self.all.append(
                Endpoint(
                    method=method,
                    path=path,
                    handler=handler,
                    summary=(handler.__doc__ or "").split("\n")[0],
                    roles=roles,
                    gives=gives,
                    status=status,
                    takes=takes,
                    query=query,
                    also_takes=also_takes,
                    large=large,
                    gives_lines=gives_lines,
                )
            )
            return handler

        return declare

    def routes(self) -> list[BaseRoute]:
        """One route a path, and one for every path that is not there."""
        paths = dict.fromkeys(endpoint.path for endpoint in self.all)
        by_path = {path: {e.method: e for e in self.all if e.path == path} for path in paths}
        return [
            *(Route(ROOT + path, _Path(methods)) for path, methods in by_path.items()),
            Route(ROOT + "/{rest:path}", _Path({})),
        ]


class _Path:
    """All methods of one path. A class: for a function Starlette would answer 405 in plain text."""

    def __init__(self, methods: dict[str, Endpoint]) -> None:
        self.methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        if not self.methods:
            raise NotFound("There is no such endpoint; see /api/v1/openapi.json.")
        endpoint = self.methods.get("GET" if request.method == "HEAD" else request.method)
        response = self._not_allowed() if endpoint is None else await endpoint.answer(request)
        await response(scope, receive, send)

    def _not_allowed(self) -> Response:
        allowed = ", ".join(self.methods)
        error = MethodNotAllowed(f"This endpoint answers to {allowed}.")
        return JSONResponse(error.as_json(), status_code=error.status, headers={"Allow": allowed})


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request, model: type[BaseModel], limit: int) -> BaseModel:
    """The body as `model`. Raises UnsupportedType, TooLarge or BadInput with the field and the row."""
    if content_type(request) != "application/json":
        raise UnsupportedType("The body of this request is read as application/json only.")
    body = await read_limited(request, limit)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _told(error) from None


def checked(model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _told(error) from None


def _told(error: ValidationError) -> BadInput:
    """The first thing that is wrong, without the value: it may be a number or a text."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field, row = ([*first["loc"], None, None])[:2]
    message = re.sub(r"^(Value error|Assertion failed), ", "", first["msg"])
    return BadInput(
        f"{field}: {message}." if field else f"{message}.",
        field=str(field) if field is not None else None,
        row=row + 1 if isinstance(row, int) else None,
    )
