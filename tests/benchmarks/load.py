"""An HTTP load generator in a process of its own.

So many connections, each posting the next prepared request as soon as its answer is there. Everything is
made before the clock starts and the sockets are driven by hand, so that on two cores the server is what is
measured: a request costs the generator some 15 µs.
"""

import gc
import json
import pickle
import re
import selectors
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What came of it: requests a second, the 99th percentile in ms, answers other than 2xx."""

    per_second: float
    p99_ms: float
    refused: int


def post_all(port: int, requests: Sequence[bytes], *, connections: int = 32) -> Load:
    """Posts every request once, from another process. Raises when one was refused."""
    with tempfile.NamedTemporaryFile() as prepared:
        pickle.dump(list(requests), prepared)
        prepared.flush()
        command = [sys.executable, "-m", "tests.benchmarks.load", str(port), str(connections), prepared.name]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    load = Load(**json.loads(told))
    if load.refused:
        raise RuntimeError(f"{load.refused} of {len(requests)} requests were refused")
    return load


class _Connection:
    """One connection: a request out, its whole answer in, the next one out."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.asked_at = 0.0

    def ask(self, request: bytes) -> None:
        self.answer = b""
        self.asked_at = perf_counter()
        self.socket.sendall(request)

    def hear(self) -> bool:
        """Takes in what has arrived; whether the answer is whole."""
        arrived = self.socket.recv(65536)
        if not arrived:
            raise ConnectionError("the server hung up")
        self.answer += arrived
        head_end = self.answer.find(HEAD_END)
        if head_end < 0:
            return False
        length = _LENGTH.search(self.answer, 0, head_end)
        return len(self.answer) >= head_end + len(HEAD_END) + (int(length[1]) if length else 0)


def _run(port: int, connections: int, requests: Sequence[bytes]) -> Load:
    waiting = iter(requests)
    latencies: list[float] = []
    refused = 0
    began = perf_counter()
    for connection in _answered(port, connections, waiting):
        latencies.append(perf_counter() - connection.asked_at)
        refused += not connection.answer.startswith(b"HTTP/1.1 2")
    seconds = perf_counter() - began
    latencies.sort()
    return Load(len(latencies) / seconds, latencies[int(len(latencies) * 0.99)] * 1000, refused)


def _answered(port: int, connections: int, waiting: Iterator[bytes]) -> Iterator[_Connection]:
    """Each connection as its answer arrives; it is given the next request afterwards."""
    selector = selectors.DefaultSelector()
    for request in (next(waiting) for _ in range(connections)):
        connection = _Connection(port)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.ask(request)
    while selector.get_map():
        for key, _ in selector.select():
            connection = key.data
            if connection.hear():
                yield connection
                _go_on(selector, connection, next(waiting, None))


def _go_on(selector: selectors.BaseSelector, connection: _Connection, request: bytes | None) -> None:
    if request is not None:
        connection.ask(request)
        return
    selector.unregister(connection.socket)
    connection.socket.close()


if __name__ == "__main__":
    with Path(sys.argv[3]).open("rb") as prepared:
        made = pickle.load(prepared)
    gc.disable()
    print(json.dumps(vars(_run(int(sys.argv[1]), int(sys.argv[2]), made))))
