"""What Twilio does not have: the phones' page, faults at run time, and a look inside for tests."""

import json
from importlib.resources import files
from typing import Any

from aiohttp import web

from gateway.carrier.sandbox.arguments import sender_from
from gateway.carrier.sandbox.config import SandboxConfig
from gateway.carrier.sandbox.phones import Phones
from gateway.carrier.sandbox.rest import Rest, json_answer
from gateway.carrier.sandbox.store import Message, Store
from gateway.carrier.sandbox.webhooks import Postman

STATIC = files("gateway.carrier.sandbox") / "static"
PAGES = {
    "/": ("phones.html", "text/html"),
    "/static/phones.js": ("phones.js", "text/javascript"),
    "/static/phones.css": ("phones.css", "text/css"),
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
LAST_TEXTS_SHOWN = 50


class Control:
    """The handlers under `/sandbox` and the page at `/`."""

    def __init__(self, config: SandboxConfig, store: Store, postman: Postman, rest: Rest, phones: Phones) -> None:
        self._config = config
        self._store = store
        self._postman = postman
        self._rest = rest
        self._phones = phones

    def routes(self) -> list[web.RouteDef]:
        pages = [web.get(path, self.page) for path in PAGES]
        return pages + [
            web.get("/sandbox/status", self.status),
            web.get("/sandbox/messages", self.messages),
            web.get("/sandbox/faults", self.faults),
            web.post("/sandbox/faults", self.set_faults),
            web.post("/sandbox/senders", self.register),
            web.get("/sandbox/screens", self.screens),
            web.get("/sandbox/phones/{number}", self.conversation),
            web.post("/sandbox/phones/{number}/send", self.send),
        ]

    async def page(self, request: web.Request) -> web.Response:
        name, content_type = PAGES[request.path]
        return web.Response(
            text=(STATIC / name).read_text("utf-8"), content_type=content_type, headers=PAGE_HEADERS
        )

    async def status(self, _request: web.Request) -> web.Response:
        """How much there is, and whether webhooks are still under way: what a test waits for."""
        accepted = sum(1 for _ in self._store.newest_first())
        return json_answer({"messages": accepted, "webhooks_under_way": self._postman.unfinished})

    async def messages(self, _request: web.Request) -> web.Response:
        return json_answer([shown(message) for message in self._store.newest_first()][::-1])

    async def faults(self, _request: web.Request) -> web.Response:
        return json_answer(_as_dict(self._rest.faults))

    async def set_faults(self, request: web.Request) -> web.Response:
        """Change the faults that are named; the others stay."""
        changes = await _json_object(request)
        try:
            self._rest.faults = self._rest.faults.changed(changes)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return json_answer(_as_dict(self._rest.faults))

    async def register(self, request: web.Request) -> web.Response:
        given = await _json_object(request)
        try:
            sender = sender_from(given)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        self._store.register(sender)
        return json_answer(_as_dict(sender), 201)

    async def screens(self, request: web.Request) -> web.Response:
        """Everything the page shows, or 204 where nothing has changed since `?after=VERSION`."""
        if request.query.get("after") == str(self._store.version):
            return web.Response(status=204)
        phones = [
            {"number": number, "texts": self._texts(number)[-LAST_TEXTS_SHOWN:]} for number in self._config.phones
        ]
        return json_answer(
            {"version": self._store.version, "campaign_url": self._config.campaign_url, "phones": phones}
        )

    async def conversation(self, request: web.Request) -> web.Response:
        return json_answer(self._texts(request.match_info["number"]))

    async def send(self, request: web.Request) -> web.Response:
        """A phone texts: {"body": …, "to": sender}; without `to`, whoever texted it last."""
        given = await _json_object(request)
        phone, body = request.match_info["number"], given.get("body")
        to = given.get("to") or self._last_sender(phone)
        if not isinstance(body, str) or not to:
            raise _bad_request("a text needs a body, and a sender to go to")
        if not to.removeprefix("whatsapp:").removeprefix("+").isdecimal():
            raise _bad_request("this sender is a name, not a number: it cannot be answered")
        return json_answer(shown(self._phones.send(phone, to, body)), 201)

    def _texts(self, number: str) -> list[dict[str, object]]:
        return [shown(message) for message in self._store.conversation(number)]

    def _last_sender(self, phone: str) -> str | None:
        texts = self._store.conversation(phone)
        if texts:
            return texts[-1].to if texts[-1].inbound else texts[-1].sender
        return next((sender.number for sender in self._store.senders), None)


def shown(message: Message) -> dict[str, object]:
    """A message as the control endpoints show it."""
    return {
        "sid": message.sid,
        "direction": message.direction,
        "from": message.sender,
        "to": message.to,
        "body": message.body,
        "status": message.status,
        "error_code": message.error_code,
        "at": message.created_at.isoformat(),
    }


def _as_dict(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


async def _json_object(request: web.Request) -> dict[str, Any]:
    # Demanding the type keeps other sites' pages out: a browser asks first before it posts JSON across.
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json")
    try:
        given = json.loads(await request.text())
    except ValueError:
        raise _bad_request("this is not JSON") from None
    if not isinstance(given, dict):
        raise _bad_request("send a JSON object")
    return given


def _bad_request(explanation: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": explanation}), content_type="application/json")
