"""Who is asking: API keys in a header, console sessions in a signed cookie, forms that really are ours.

A session holds the id of the key it was opened with, so that revoking the key ends it. Cookie: HttpOnly,
SameSite=Lax, Secure under https (`gateway.web.headers`).
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway import keys
from gateway.errors import NotAllowed
from gateway.keys import Key
from gateway.models import Role
from gateway.web.context import context

FORM_TOKEN = "form_token"  # noqa: S105  (the name of a field)


class NoKey(NotAllowed):
    """No key, or none that is valid; the two are not told apart."""

    status = 401


def require(*roles: Role) -> Callable[[Request], Awaitable[Key]]:
    """A check for API handlers: `key = await require(Role.MARKETER)(request)`.

    Raises NoKey (401) without a valid `Authorization: Bearer KEY`, NotAllowed (403) for a role not listed;
    an admin's key always passes.
    """

    async def check(request: Request) -> Key:
        key = await context(request).db.read(keys.find, _presented(request))
        if key is None:
            raise NoKey("A valid API key is needed: Authorization: Bearer KEY")
        return permitted(key, roles)

    return check


def permitted(key: Key, roles: tuple[Role, ...]) -> Key:
    """The key, if it reaches one of the roles. Raises NotAllowed."""
    if not any(keys.allows(key, role) for role in roles):
        raise NotAllowed("This key's role does not reach here.")
    return key


def _presented(request: Request) -> str:
    """The key in the header, or something no key equals: the look-up takes place either way."""
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


async def sign_in(request: Request, presented: str) -> Key:
    """Opens a console session with an API key. Raises NoKey."""
    key = await context(request).db.read(keys.find, presented.strip())
    if key is None:
        raise NoKey("That key is not valid.")
    request.session.clear()
    request.session["key"] = key.id
    return key


def sign_out(request: Request) -> None:
    request.session.clear()


async def signed_in(request: Request) -> Key | None:
    """The key of the running session, while it is valid."""
    key_id = request.session.get("key")
    if key_id is None:
        return None
    return await context(request).db.read(keys.by_id, key_id)


def form_token(request: Request) -> str:
    """What a console form has to bring back; kept in the signed session cookie."""
    token: str = request.session.setdefault(FORM_TOKEN, secrets.token_urlsafe(16))
    return token


def check_form(request: Request, form: Mapping[str, Any]) -> None:
    """Raises NotAllowed unless the form was made for this session and sent from our own page."""
    ours = request.session.get(FORM_TOKEN, "")
    given = form.get(FORM_TOKEN)
    matches = isinstance(given, str) and hmac.compare_digest(ours.encode(), given.encode())
    if not (ours and matches and from_us(request, request.headers.get("origin"))):
        raise NotAllowed("This form has expired. Open the page again.")


def from_us(request: Request, origin: str | None) -> bool:
    """Whether an Origin header names this very site; browsers that send none are left to SameSite.

    The scheme is not compared: behind a proxy we see http where the browser sees https.
    """
    if origin is None:
        return True
    settings = context(request).settings
    hosts = {urlsplit(url).netloc for url in (settings.public_url, settings.link_url or "")}
    return urlsplit(origin).netloc in (hosts | {request.headers.get("host", "")}) - {""}
