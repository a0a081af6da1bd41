"""A whole gateway on the loopback: web and worker over a real database, and the sandbox carrier beside it."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from gateway import serve, worker
from gateway.carrier.sandbox import SandboxConfig, spawned_sandbox
from gateway.db import Database
from gateway.settings import Settings

T = TypeVar("T")

ACCOUNT = "AC" + "a" * 32
TOKEN = "test-auth-token"
SENDER = "+4915735980000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(look: Callable[[], T], seconds: float = 15.0) -> T:
    """Looks again and again until there is something true; fails with the last look after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s; last: {found!r}"
        time.sleep(0.02)
    return found


def call(method: str, url: str, body: Any = None, **headers: str) -> Any:
    """One HTTP request with a JSON body; the answer's JSON, list of JSON lines or text.

    Raises httpx2.HTTPStatusError for an answer that is an error.
    """
    answer = httpx2.request(method, url, json=body, headers=headers, timeout=20).raise_for_status()
    kind = answer.headers.get("content-type", "")
    if "ndjson" in kind:
        return [json.loads(line) for line in answer.text.splitlines()]
    return answer.json() if kind.startswith("application/json") else answer.text


@dataclass(frozen=True)
class Sandbox:
    """The carrier as tests see it: phones that send, a list of what was really accepted."""

    url: str

    def phone_sends(self, phone: str, body: str, to: str = SENDER) -> None:
        call("POST", f"{self.url}/sandbox/phones/{phone}/send", {"body": body, "to": to})

    def texts_to(self, phone: str) -> list[str]:
        return [m["body"] for m in self.outbound() if m["to"] == phone]

    def outbound(self) -> list[dict[str, Any]]:
        messages = call("GET", f"{self.url}/sandbox/messages")
        found = messages["messages"] if isinstance(messages, dict) else messages
        return [m for m in found if m["direction"].startswith("outbound")]

    def faults(self, **changes: Any) -> None:
        call("POST", f"{self.url}/sandbox/faults", changes)


@contextmanager
def carrier(webhook: str, **options: Any) -> Iterator[Sandbox]:
    config = SandboxConfig(account_sid=ACCOUNT, auth_token=TOKEN, webhook=webhook, **options)
    with spawned_sandbox(config) as url:
        yield Sandbox(url)


def pointed(settings: Settings, port: int, sandbox: Sandbox, **changes: Any) -> Settings:
    """The settings of a gateway at `port` that has the sandbox for Twilio."""
    values = {
        "public_url": f"http://127.0.0.1:{port}",
        "twilio_api_url": sandbox.url,
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "poll_interval": 0.05,
    }
    return settings.model_copy(update=Settings(**(values | changes)).model_dump(include={*values, *changes}))


@contextmanager
def gateway(settings: Settings, port: int, *, with_worker: bool = True) -> Iterator[None]:
    """The server of `optout serve` on a thread."""
    server = serve.server(settings, host="127.0.0.1", port=port, with_worker=with_worker)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        assert server.started
        yield
    finally:
        server.should_exit = True
        thread.join(40)
        assert not thread.is_alive()


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """A database for the test itself, whose verbs start jobs."""
    db = worker.open_database(settings)
    try:
        yield db
    finally:
        db.close()
