"""A sandbox, the gateway's carrier over the real SDK, and a double of the gateway's webhooks."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import ClientSession, web
from twilio.request_validator import RequestValidator

from gateway.carrier import OutgoingText
from gateway.carrier.sandbox import RunningSandbox, SandboxConfig, running_sandbox
from gateway.carrier.twilio import TwilioCarrier

ACCOUNT = "AC" + "5" * 32
TOKEN = "a token of the tests"
ANNA = "+4915228817386"
BEN = "+12125550142"
SHOP = "+18555550123"


@dataclass
class Post:
    url: str
    form: dict[str, str]
    signature: str

    @property
    def is_signed(self) -> bool:
        return RequestValidator(TOKEN).validate(self.url, self.form, self.signature)


@dataclass
class Inbox:
    """What the gateway would get. It answers with `statuses` in turn, then with 200."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    statuses: deque[int] = field(default_factory=deque)

    async def take(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text(), keep_blank_values=True))
        url = f"http://{request.host}{request.raw_path}"
        self.posts.append(Post(url, form, request.headers.get("X-Twilio-Signature", "")))
        return web.Response(status=self.statuses.popleft() if self.statuses else 200)

    def steps(self, sid: str) -> list[str]:
        return [post.form["MessageStatus"] for post in self.posts if post.form["MessageSid"] == sid]


@dataclass
class Stage:
    sandbox: RunningSandbox
    carrier: TwilioCarrier
    inbox: Inbox
    http: ClientSession

    async def get(self, path: str) -> object:
        async with self.http.get(self.sandbox.url + path) as answer:
            return await answer.json()

    async def post(self, path: str, body: object) -> tuple[int, object]:
        async with self.http.post(self.sandbox.url + path, json=body) as answer:
            return answer.status, await answer.json()


Story = Callable[[Stage], Awaitable[None]]


def play(story: Story, **config: object) -> None:
    """Run `story` against a sandbox configured so; its webhook is the inbox unless told otherwise."""
    asyncio.run(_play(story, config))


async def _play(story: Story, config: dict[str, object]) -> None:
    async with running_inbox() as inbox:
        settings = {"webhook": f"{inbox.url}/inbound", "retry_pause": 0.0} | config
        async with running_sandbox(SandboxConfig(ACCOUNT, TOKEN, **settings)) as sandbox:
            carrier = TwilioCarrier(ACCOUNT, TOKEN, api_url=sandbox.url)
            async with ClientSession() as http:
                try:
                    await story(Stage(sandbox, carrier, inbox, http))
                finally:
                    await carrier.aclose()


@asynccontextmanager
async def running_inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    app = web.Application()
    app.router.add_post("/{tail:.*}", inbox.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield inbox
    finally:
        await runner.cleanup()


def text_to(to: str = ANNA, body: str = "Sale today", **fields: object) -> OutgoingText:
    return OutgoingText(**({"to": to, "body": body, "sender": SHOP} | fields))
