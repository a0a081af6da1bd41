"""The fastest carrier that can be: accepts every text with Twilio's smallest answer and remembers nothing.

    with running_stub() as url: …        # the URL is what the gateway takes as Twilio's API

It speaks just enough HTTP/1.1 for the SDK, in a process of its own, so that a benchmark of dispatch measures
dispatch. `GET /count` answers how many texts came in.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class StubProtocol(asyncio.Protocol):
    """One connection: whole requests in, one small answer each."""

    accepted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (head_end := self._waiting.find(HEAD_END)) >= 0:
            found = _LENGTH.search(self._waiting, 0, head_end)
            end = head_end + len(HEAD_END) + (int(found[1]) if found else 0)
            if len(self._waiting) < end:
                return
            request, self._waiting = self._waiting[:end], self._waiting[end:]
            self._transport.write(_answer_to(request))


def _answer_to(request: bytes) -> bytes:
    if request.startswith(b"GET"):
        return _answer(b"200 OK", b"%d" % StubProtocol.accepted)
    StubProtocol.accepted += 1
    return _answer(b"201 Created", b'{"sid": "SM%032x", "status": "queued"}' % StubProtocol.accepted)


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


@contextmanager
def running_stub() -> Iterator[str]:
    """The stub in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.stub"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(StubProtocol, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
