"""The part of Twilio's REST API that the gateway uses: create, list and fetch messages."""

import asyncio
import hmac
import json
import random
import re
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from urllib.parse import parse_qsl

from aiohttp import encode_basic_auth, web

from gateway.carrier.sandbox.config import Faults, SandboxConfig, Sender
from gateway.carrier.sandbox.listing import page_of
from gateway.carrier.sandbox.resource import resource
from gateway.carrier.sandbox.store import Message, Store, new_message
from gateway.carrier.sandbox.webhooks import Postman, status_params

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BLOCKED_CODE = 21610
UNREACHABLE_HANDSET_CODE = 30003
LONGEST_BODY = 1600  # characters, https://www.twilio.com/docs/api/errors/21617

_E164 = re.compile(r"(?:whatsapp:)?\+[1-9]\d{6,14}")
# E.164, a short code, or an alphanumeric sender of up to 11 characters with a letter in it.
_SENDER = re.compile(r"(?:whatsapp:)?\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}")


class Refusal(Exception):
    """An answer in Twilio's error shape."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def answer(self) -> web.Response:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        return json_answer(body, self.status)


class Rest:
    """The handlers. `faults` may be replaced at any time."""

    def __init__(self, config: SandboxConfig, store: Store, postman: Postman) -> None:
        self._account_sid = config.account_sid
        self._authorization = encode_basic_auth(config.account_sid, config.auth_token).encode()
        self._store = store
        self._postman = postman
        # Not for secrets: a fixed seed makes a run with faults repeatable.
        self._random = random.Random(config.seed)  # noqa: S311
        self.faults = config.faults

    def routes(self) -> list[web.RouteDef]:
        messages = "/2010-04-01/Accounts/{account_sid}/Messages"
        return [
            web.post(f"{messages}.json", self._guarded(self.create)),
            web.get(f"{messages}.json", self._guarded(self.list), allow_head=False),
            web.get(f"{messages}/{{sid}}.json", self._guarded(self.fetch), allow_head=False),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        @wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._authenticate(request)
                return await handler(request)
            except Refusal as refusal:
                return refusal.answer()

        return guarded

    def _authenticate(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        right = hmac.compare_digest(given, self._authorization)
        if not right or request.match_info["account_sid"] != self._account_sid:
            raise Refusal(401, 20003, "Authenticate")

    # Create

    async def create(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        faults = self.faults
        if self._happens(faults.rate_429):
            return _slow_down(faults)
        if self._happens(faults.rate_500):
            return await self._fail(form, faults)
        message = self._accept(form, faults)
        answer = json_answer(resource(self._account_sid, message), 201)
        self._send_on(message, faults)
        if faults.latency:
            await asyncio.sleep(faults.latency)
        if self._happens(faults.lost_answers) and request.transport:
            request.transport.abort()
        return answer

    async def _fail(self, form: dict[str, str], faults: Faults) -> web.StreamResponse:
        if self._happens(faults.created_on_500):
            self._send_on(self._accept(form, faults), faults)
        raise Refusal(500, 20500, "Internal Server Error")

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate

    def _accept(self, form: dict[str, str], faults: Faults) -> Message:
        """Check as Twilio does, then keep. Raises Refusal, also for a recipient on the block list."""
        to, body = form.get("To", ""), form.get("Body", "")
        service_sid = form.get("MessagingServiceSid")
        sender = self._sender_for(form.get("From"), service_sid)
        _check(to, sender.number, body)
        _check_callback(form.get("StatusCallback"))
        message = new_message(
            to=to,
            sender=sender.number,
            body=body,
            direction="outbound-api",
            status="accepted" if service_sid else "queued",
        )
        message.service_sid, message.status_callback = service_sid, form.get("StatusCallback")
        if self._store.is_blocked(to, sender):
            self._block(message, faults)
        return self._store.add(message)

    def _sender_for(self, number: str | None, service_sid: str | None) -> Sender:
        if number:
            if not _SENDER.fullmatch(number):
                raise Refusal(
                    400,
                    21606,
                    f"The 'From' phone number {number} is not a valid, message-capable Twilio phone number.",
                )
            return self._store.sender(number)
        if not service_sid:
            raise Refusal(400, 21603, "A 'From' phone number is required.")
        found = self._store.sender_in_service(service_sid)
        if found is None:
            raise Refusal(400, 21703, "The Messaging Service does not have a phone number available.")
        return found

    def _block(self, message: Message, faults: Faults) -> None:
        message.error_code = BLOCKED_CODE
        if not faults.block_in_callback:
            self._store.refuse(message)
            raise Refusal(400, BLOCKED_CODE, "Attempt to send to unsubscribed recipient")

    # What becomes of an accepted text

    def _send_on(self, message: Message, faults: Faults) -> None:
        steps = self._steps(message, faults)
        final = steps[-1]
        if not (message.status_callback and faults.callbacks):
            message.status = final
            return
        if faults.shuffle_callbacks:
            self._random.shuffle(steps)
        if self._happens(faults.duplicate_callbacks):
            steps = [step for step in steps for _ in range(2)]
        self._postman.callbacks.put(partial(self._report, message, steps, final))

    def _steps(self, message: Message, faults: Faults) -> list[str]:
        if message.error_code == BLOCKED_CODE:
            return ["failed"]
        if self._happens(faults.undelivered):
            message.error_code = UNREACHABLE_HANDSET_CODE
            return ["queued", "sent", "undelivered"]
        return ["queued", "sent", "delivered"]

    async def _report(self, message: Message, steps: list[str], final: str) -> None:
        """Post each step. Shuffled ones arrive out of order; what is listed ends as `final` all the same."""
        assert message.status_callback
        for step in steps:
            message.status = step
            self._store.touch()
            await self._postman.deliver(message.status_callback, status_params(self._account_sid, message, step))
        message.status = final

    # Look

    async def list(self, request: web.Request) -> web.StreamResponse:
        try:
            page = page_of(self._store, self._account_sid, request.query, self.faults.list_lag)
        except ValueError as error:
            raise Refusal(400, 20001, str(error)) from None
        return json_answer(page)

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        message = self._store.get(request.match_info["sid"])
        if message is None:
            raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
        return json_answer(resource(self._account_sid, message))


def json_answer(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(body).encode(),
        status=status,
        headers={"Content-Type": "application/json"},
    )


def _slow_down(faults: Faults) -> web.Response:
    answer = Refusal(429, 20429, "Too Many Requests").answer()
    answer.headers["Retry-After"] = f"{faults.retry_after:g}"
    return answer


def _check(to: str, sender: str, body: str) -> None:
    if not to:
        raise Refusal(400, 21604, "A 'To' phone number is required.")
    if not _E164.fullmatch(to):
        raise Refusal(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if to == sender:
        raise Refusal(400, 21266, "'To' and 'From' number cannot be the same")
    if not body:
        raise Refusal(400, 21602, "Message body is required.")
    if len(body) > LONGEST_BODY:
        raise Refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit.")


def _check_callback(url: str | None) -> None:
    if url and not url.startswith(("http://", "https://")):
        raise Refusal(400, 21609, f"The StatusCallback URL {url} is not a valid URL")
