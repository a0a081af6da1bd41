"""Twilio's two webhooks. A text is acknowledged only after its decision is durable (P1)."""

from functools import lru_cache
from urllib.parse import parse_qsl

import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import delivery, hearing, inbound
from gateway.errors import DatabaseAway
from gateway.inbound import Arrival, IncomingText, Outcome
from gateway.web.context import Context, context
from gateway.web.signatures import Form, Signatures

log = structlog.get_logger()

EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
FORM = "application/x-www-form-urlencoded"
# Twilio sends some 30 parameters; a form with more than 1,000 is an attack on the parser.
MOST_FIELDS = 1000
SET_UP = (
    "This address is for Twilio's webhooks and takes POST only.\n"
    "In the Twilio console set your number's (or messaging service's) incoming message webhook to\n\n"
    "  {url}/twilio/inbound#rc=3&rp=ct,rt,5xx   HTTP POST\n\n"
    "The part behind # makes Twilio try again when this gateway is restarting.\n"
)


async def take_in(request: Request) -> Response:
    """`POST /twilio/inbound`: 200 `<Response/>` after the commit, 503 when it could not be made in time."""
    ctx = context(request)
    form = await _signed_form(request, ctx)
    if isinstance(form, Response):
        return form
    text = _incoming(form)
    if text is None:
        return PlainTextResponse("MessageSid, From or To is missing or malformed.\n", 422)
    arrival = Arrival(text, ctx.settings.twilio_account_sid, ctx.now())
    try:
        outcome, _ = await ctx.in_time(ctx.db.writer.submit_together(inbound.receive_all, arrival))
    except DatabaseAway:
        return _try_again()
    if outcome is Outcome.UNKNOWN_ACCOUNT:
        return PlainTextResponse("This gateway serves another Twilio account.\n", 403)
    if outcome is Outcome.UNKNOWN_SENDER:
        return PlainTextResponse(
            "No sender with this number is set up here (optout senders create). An opt-out was honoured.\n", 404
        )
    return Response(EMPTY, media_type="text/xml")


async def take_status(request: Request) -> Response:
    """`POST /twilio/status?m=ID`: what became of a text of ours; 204 whether or not it was news."""
    ctx = context(request)
    form = await _signed_form(request, ctx)
    if isinstance(form, Response):
        return form
    sid, status = _one(form, "MessageSid"), _one(form, "MessageStatus")
    if not hearing.SID.fullmatch(sid) or not status:
        return PlainTextResponse("MessageSid or MessageStatus is missing or malformed.\n", 422)
    try:
        await ctx.in_time(
            ctx.db.writer.submit(
                delivery.record_status,
                _int(request.query_params.get("m")),
                sid,
                status,
                _int(_one(form, "ErrorCode")),
                ctx.now(),
            ),
        )
    except DatabaseAway:
        return _try_again()
    return Response(status_code=204)


async def explain(request: Request) -> Response:
    """GET and everything else: how to set the webhook up."""
    url = context(request).settings.public_url
    return PlainTextResponse(SET_UP.format(url=url), 405, headers={"Allow": "POST"})


async def _signed_form(request: Request, ctx: Context) -> Form | Response:
    """The form, or the refusal: 413 too large, 415 not a form, 403 not signed by Twilio."""
    if not request.headers.get("content-type", FORM).startswith(FORM):
        return PlainTextResponse("Send the parameters as a form.\n", 415)
    body = await _body(request, ctx.settings.max_body_bytes)
    if body is None:
        return PlainTextResponse("The form is too large.\n", 413)
    form = parse_form(body)
    if form is None:
        return PlainTextResponse("The form cannot be read.\n", 400)
    url = ctx.settings.public_url + request.url.path
    query = request.scope["query_string"].decode("latin-1")
    headers = request.headers
    told = headers.get("x-twilio-signature"), headers.get("x-twilio-webhooks-signature-settings")
    if not _signatures(tuple(ctx.settings.auth_tokens)).valid(f"{url}?{query}" if query else url, form, *told):
        log.warning("webhook with a wrong signature", path=request.url.path)
        return PlainTextResponse("The signature is missing or wrong.\n", 403)
    return form


async def _body(request: Request, limit: int) -> bytes | None:
    """The body, or None as soon as it is longer than `limit` bytes."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def parse_form(body: bytes) -> Form | None:
    """All parameters, empty and repeated ones too (they count in the signature); None when it is no form.

    The standard library reads Twilio's 25 fields in a quarter of the time that a multipart-capable parser
    needs, and urlencoded is all that Twilio sends.
    """
    try:
        text = body.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        return None
    form = Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


@lru_cache(maxsize=4)
def _signatures(tokens: tuple[str, ...]) -> Signatures:
    return Signatures(tokens)


def _incoming(form: Form) -> IncomingText | None:
    return hearing.incoming(
        sid=_one(form, "MessageSid"),
        account_sid=_one(form, "AccountSid"),
        sender=_one(form, "From"),
        to=_one(form, "To"),
        body=_one(form, "Body"),
        media=_int(_one(form, "NumMedia")) or 0,
        messaging_service_sid=_one(form, "MessagingServiceSid"),
        opt_out_type=_one(form, "OptOutType"),
    )


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[-1]


def _int(text: str | None) -> int | None:
    """A whole number that fits a 64-bit column, or None."""
    if not text or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)


def _try_again() -> Response:
    return PlainTextResponse("Try again.\n", 503, headers={"Retry-After": "5"})


OTHERS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]
routes: list[BaseRoute] = [
    Route("/twilio/inbound", take_in, methods=["POST"]),
    Route("/twilio/status", take_status, methods=["POST"]),
    Route("/twilio/inbound", explain, methods=OTHERS),
    Route("/twilio/status", explain, methods=OTHERS),
]
