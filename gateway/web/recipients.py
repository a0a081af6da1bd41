"""The page behind the link in a text: one tap and she is out. No login, no cookie.

GET shows and changes nothing (P6). The page posts its own form once it is really visible
(`static/link.js`), a button does it without JavaScript. Known and unknown links get equal answers (P12):
no step below asks which it is.
"""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import Connection, select
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway import unsubscribe
from gateway.errors import DatabaseAway, GatewayError
from gateway.models import Program
from gateway.unsubscribe import Reason
from gateway.web import auth, limits
from gateway.web.context import context
from gateway.web.headers import form_limited
from gateway.web.limits import TooMany
from gateway.web.render import page, preferred_language, words

programs = Program.__table__  # type: ignore[attr-defined]
COMPANY = select(programs.c.name).order_by(programs.c.id).limit(1)

# A page may lie open in a tab for a day; afterwards it is shown again with a fresh one.
NONCE_SECONDS = 24 * 3600
# Link previews, message scanners, crawlers: most say so, or leave an address, or are no browser at all. Cubot
# makes phones, old MSIE is "compatible" too. Who is caught by mistake still has STOP.
MACHINES = re.compile(
    r"^$|https?:|compatible; (?!msie)|(?<!cu)bot\b|crawl|spider|slurp|preview|externalhit|facebookcatalog|fetch|"
    r"monitor|whatsapp/|skype|slack-|proofpoint|mimecast|barracuda|scan|safelinks|virustotal|curl/|wget/|python|"
    r"go-http-client|^java/|okhttp|libwww|scrapy|axios|node-|guzzle|httpclient|google-",
    re.IGNORECASE,
)

Handler = Callable[[Request], Awaitable[Response]]


def _told(handler: Handler) -> Handler:
    """Counts the request, and turns what goes wrong into a page that says what to do instead."""

    async def handle(request: Request) -> Response:
        try:
            limits.check(request, limits.LINK, "link")
            return await handler(request)
        except TooMany as error:
            return _trouble(request, "busy", error, error.retry_after)
        except DatabaseAway as error:
            return _trouble(request, "away", error, 5)

    return handle


@_told
async def show(request: Request) -> Response:
    """`GET /u/{token}`: the page that asks, and posts by itself."""
    return await _ask(request, by_itself=True)


@_told
async def opt_out(request: Request) -> Response:
    """`POST /u/{token}`: out, if the form is ours and a person's browser sent it; else the button again."""
    form = await _our_form(request, "opt-out")
    if form is None:
        return await _ask(request, by_itself=False, status=403)
    await _commit(request, unsubscribe.tap)
    return await _done(request)


@_told
async def undo(request: Request) -> Response:
    """`POST /u/{token}/undo`: she wants the texts after all."""
    form = await _our_form(request, "done")
    if form is None:
        return await _ask(request, by_itself=False, status=403)
    # As of when the page was made: the same form again, after a newer STOP, opens nothing (P7).
    await _commit(request, unsubscribe.undo, at=_made_at(request, "done", form.get("nonce")))
    return await _render(request, "back.html", nonce=_nonce(request, "opt-out"))


@_told
async def explain(request: Request) -> Response:
    """`POST /u/{token}/reason`: why, from the fixed list; 422 for anything else."""
    form = await _our_form(request, "done")
    if form is None:
        return await _ask(request, by_itself=False, status=403)
    reason = form.get("reason")
    if reason not in list(Reason):
        return await _done(request, status=422)
    await _commit(request, unsubscribe.explain, Reason(str(reason)))
    return await _done(request, thanks=True)


async def _our_form(request: Request, purpose: str) -> FormData | None:
    """The form, if a page of ours made it for this link and purpose, and no machine sent it."""
    form = await form_limited(request, context(request).settings.max_body_bytes)
    return form if _by_person(request) and _made_at(request, purpose, form.get("nonce")) else None


def _by_person(request: Request) -> bool:
    headers = request.headers
    ahead = headers.get("sec-purpose", "") + headers.get("purpose", "") + headers.get("x-moz", "")
    # "null" comes from browsers inside other apps; the nonce vouches for those.
    origin = headers.get("origin")
    near = origin == "null" or auth.from_us(request, origin)
    return near and "prefetch" not in ahead and not MACHINES.search(headers.get("user-agent", ""))


def _serializer(request: Request, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(context(request).settings.secret_keys, salt=f"link:{purpose}")


def _nonce(request: Request, purpose: str) -> str:
    """Signed: the link, and the moment to the microsecond (the serializer's own time is in seconds)."""
    return _serializer(request, purpose).dumps(
        [_token(request), context(request).now().isoformat("T", "microseconds")]
    )


def _made_at(request: Request, purpose: str, given: object) -> datetime | None:
    """When the form's page was made; None when it is not ours, not for this link, or too old."""
    try:
        token, made_at = _serializer(request, purpose).loads(str(given), max_age=NONCE_SECONDS)
    except (BadSignature, ValueError, TypeError):
        return None
    # A page is made after the commit it tells of, also where the clock has not moved between them.
    return datetime.fromisoformat(made_at) + timedelta(microseconds=1) if token == _token(request) else None


def _token(request: Request) -> str:
    token: str = request.path_params["token"]
    return token


async def _commit(request: Request, verb: Callable[..., Any], *values: Any, at: datetime | None = None) -> None:
    """Runs the verb for this link. Raises DatabaseAway; the verb's answer stays unknown to the page."""
    ctx = context(request)
    await ctx.in_time(ctx.db.writer.submit(verb, _token(request), *values, at or ctx.now()))


async def _ask(request: Request, *, by_itself: bool, status: int = 200) -> Response:
    nonce = _nonce(request, "opt-out")
    return await _render(request, "ask.html", status=status, nonce=nonce, by_itself=by_itself)


async def _done(request: Request, *, status: int = 200, thanks: bool = False) -> Response:
    nonce = _nonce(request, "done")
    return await _render(request, "done.html", status=status, nonce=nonce, reasons=list(Reason), thanks=thanks)


async def _render(request: Request, template: str, **values: Any) -> Response:
    ctx = context(request)
    company = ctx.settings.company_name or await ctx.in_time(ctx.db.read(_oldest_program))
    return page(f"link/{template}", **_common(request), company=company, **values)


def _oldest_program(connection: Connection) -> str:
    return connection.execute(COMPANY).scalar() or ""


def _trouble(request: Request, what: str, error: GatewayError, retry_after: int) -> Response:
    headers = {"Retry-After": str(retry_after)}
    return page("link/trouble.html", status=error.status, headers=headers, what=what, **_common(request))


def _common(request: Request) -> dict[str, Any]:
    language = preferred_language(request.headers.get("accept-language", ""))
    return {"language": language, "say": words(language), "token": _token(request)}


routes: list[BaseRoute] = [
    Route("/u/{token}", show, methods=["GET"]),
    Route("/u/{token}", opt_out, methods=["POST"]),
    Route("/u/{token}/undo", undo, methods=["POST"]),
    Route("/u/{token}/reason", explain, methods=["POST"]),
]
