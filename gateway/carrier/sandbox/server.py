"""Putting the sandbox together and running it: in this event loop, as a process of its own, or for good."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from gateway.carrier.sandbox.arguments import arguments_of
from gateway.carrier.sandbox.config import SandboxConfig
from gateway.carrier.sandbox.control import Control
from gateway.carrier.sandbox.phones import Phones
from gateway.carrier.sandbox.rest import Rest
from gateway.carrier.sandbox.store import Message, Store
from gateway.carrier.sandbox.webhooks import Postman

READY = "sandbox ready at "
PARTS: web.AppKey["Parts"] = web.AppKey("parts")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a sandbox is made of."""

    store: Store
    postman: Postman
    rest: Rest
    phones: Phones


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox in this event loop. `url` is what the gateway takes as Twilio's API."""

    url: str
    parts: Parts

    def set_faults(self, **changes: float | bool) -> None:
        self.parts.rest.faults = self.parts.rest.faults.changed(changes)

    def phone_sends(self, phone: str, to: str, body: str) -> Message:
        return self.parts.phones.send(phone, to, body)

    async def settled(self) -> None:
        """Wait until every webhook queued so far has been delivered or given up."""
        await self.parts.postman.join()


def create_sandbox(config: SandboxConfig) -> web.Application:
    """The sandbox as an aiohttp application."""
    store, postman = Store(config), Postman(config)
    rest, phones = Rest(config, store, postman), Phones(config, store, postman)
    app = web.Application()
    app[PARTS] = Parts(store, postman, rest, phones)
    app.add_routes(rest.routes())
    app.add_routes(Control(config, store, postman, rest, phones).routes())
    app.cleanup_ctx.append(_running_parts)
    return app


async def _running_parts(app: web.Application) -> AsyncIterator[None]:
    parts = app[PARTS]
    await parts.postman.start()
    yield
    await parts.postman.stop()
    parts.store.close()


@asynccontextmanager
async def running_sandbox(config: SandboxConfig) -> AsyncIterator[RunningSandbox]:
    """A sandbox that listens as long as the block runs; port 0 takes a free one."""
    app = create_sandbox(config)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        port = runner.addresses[0][1]
        yield RunningSandbox(f"http://{config.host}:{port}", app[PARTS])
    finally:
        await runner.cleanup()


def run(config: SandboxConfig) -> None:
    """Serve until SIGTERM or SIGINT. The first line printed says where, after `READY`."""
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        runner.run(_serve(config))


async def _serve(config: SandboxConfig) -> None:
    stop = asyncio.Event()
    with suppress(NotImplementedError):  # Windows has no signal handlers in its loop; Ctrl-C works there
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with running_sandbox(config) as sandbox:
        print(f"{READY}{sandbox.url}", flush=True)
        await stop.wait()


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


@contextmanager
def spawned_sandbox(config: SandboxConfig) -> Iterator[str]:
    """A sandbox in a process of its own, for callers that block or get killed. Gives its URL.

    Raises RuntimeError where it does not start; its own error output says why.
    """
    command = [sys.executable, "-m", "gateway.carrier.sandbox", *arguments_of(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            yield _url_from(process)
        finally:
            process.terminate()


def _url_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line.startswith(READY):
        raise RuntimeError("the sandbox did not start")
    return line.removeprefix(READY).strip()
