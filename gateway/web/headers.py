"""What surrounds every page: security headers, the console's session, the short domain, the size of a body.

Twilio's webhooks pass untouched: they show nobody a page, and every microsecond counts there.
"""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import urlsplit

from itsdangerous import TimestampSigner
from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import links
from gateway.errors import BadInput
from gateway.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send "Origin: null" with our own forms (Fetch standard, "append a
    # request Origin header"), and the check of where a form comes from would refuse them.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
A_YEAR = 365 * 24 * 3600
# A working day; a revoked key ends it sooner.
SESSION_SECONDS = 12 * 3600


class TooLarge(BadInput):
    """The body is larger than the settings allow."""

    status = 413


def middleware(settings: Settings) -> list[Middleware]:
    """All of it as the application wants it."""
    return [Middleware(Surroundings, settings=settings)]


class Surroundings:
    """Pure ASGI: one dictionary look-up and a prefix test is all a webhook pays."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.console = _with_session(app, settings)
        self.pages = _encoded(SECURITY | _strict_transport(settings) | {"Cache-Control": "no-store"})
        # Revalidated each time (a 304 is 200 bytes), so that a page never meets the script of another version.
        self.static = _encoded(SECURITY | _strict_transport(settings) | {"Cache-Control": "no-cache"})
        short = urlsplit(settings.link_url or "")
        self.short_host, self.short_path = short.netloc.lower().encode(), short.path + "/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/twilio/"):
            await self.app(scope, receive, send)
            return
        scope = self._behind_short_link(scope)
        path = scope["path"]
        extra = self.static if path.startswith("/static/") else self.pages

        async def send_dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                _dress(message, extra)
            await send(message)

        app = self.console if path == "/console" or path.startswith("/console/") else self.app
        await app(scope, receive, send_dressed)

    def _behind_short_link(self, scope: Scope) -> Scope:
        """`/TOKEN` on the short domain is `/u/TOKEN`."""
        path = scope["path"]
        if not self.short_host or not path.startswith(self.short_path):
            return scope
        token = path.removeprefix(self.short_path)
        if not links.is_token(token) or _host(scope) != self.short_host:
            return scope
        return {**scope, "path": f"/u/{token}", "raw_path": f"/u/{token}".encode()}


def _host(scope: Scope) -> bytes:
    return next((bytes(value).lower() for name, value in scope["headers"] if name == b"host"), b"")


def _dress(message: MutableMapping[str, Any], extra: list[tuple[bytes, bytes]]) -> None:
    headers = [*message.get("headers", []), *extra]
    if message["status"] == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    message["headers"] = headers


def _with_session(app: ASGIApp, settings: Settings) -> SessionMiddleware:
    """Starlette's sessions, for the console only, under keys that rotate."""
    session = SessionMiddleware(
        app,
        secret_key=settings.secret_keys[-1],
        session_cookie="optout_console",
        max_age=SESSION_SECONDS,
        path="/console",
        https_only=_is_https(settings),
    )
    session.signer = TimestampSigner(settings.secret_keys, salt="console")
    return session


def _is_https(settings: Settings) -> bool:
    return settings.public_url.startswith("https:")


def _strict_transport(settings: Settings) -> dict[str, str]:
    return {"Strict-Transport-Security": f"max-age={A_YEAR}"} if _is_https(settings) else {}


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def read_limited(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises TooLarge (413) as soon as it is more."""
    return await Request(request.scope, _counting(request.receive, limit)).body()


async def form_limited(request: Request, limit: int, *, files: int = 0) -> FormData:
    """The form, its files included, at most `limit` bytes. Raises TooLarge (413). Close it when it has files."""
    counted = Request(request.scope, _counting(request.receive, limit))
    return await counted.form(max_files=files, max_fields=100, max_part_size=limit)


def _counting(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLarge(f"More than {limit} bytes.")
        return message

    return counted
