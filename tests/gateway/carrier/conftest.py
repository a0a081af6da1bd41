"""Prism, which checks the sandbox's answers against Twilio's own OpenAPI document."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[4] / "shared" / "twilio" / "twilio_messages_v2010_prism.json"
VERSION = "5.14.2"
CACHE = Path.home() / ".cache" / "optout-tests" / f"prism-{VERSION}"


@pytest.fixture(scope="session")
def prism_command() -> list[str]:
    """The command that starts Prism, installed once for all runs; skips where that cannot be."""
    if not DOCUMENT.exists():
        pytest.skip(f"Twilio's OpenAPI document is not next to the project: {DOCUMENT.name}")
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Prism needs node and npm")
    program = CACHE / "node_modules" / ".bin" / "prism"
    if not program.exists():
        _install()
    return [str(program), "proxy", "--errors", "--host", "127.0.0.1"]


def _install() -> None:
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    # Built aside and moved into place, since several test processes may come here at once.
    with tempfile.TemporaryDirectory(dir=CACHE.parent, ignore_cleanup_errors=True) as aside:
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", aside]
        command = ["npm", "install", *options, f"@stoplight/prism-cli@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm could not install Prism: {done.stderr[-300:]}")
        with suppress(OSError):
            Path(aside).rename(CACHE)


@pytest.fixture(scope="session")
def prism_in_front_of(prism_command: list[str]) -> Callable[[str], AbstractContextManager[str]]:
    """Puts Prism in front of a server and gives Prism's URL."""

    @contextmanager
    def prism(upstream: str) -> Iterator[str]:
        port = _free_port()
        command = [*prism_command, "--port", str(port), str(DOCUMENT), upstream]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                _wait_until_it_listens(process)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()

    return prism


def _wait_until_it_listens(process: "subprocess.Popen[str]") -> None:
    said = []
    for line in process.stdout:
        said.append(line)
        if "listening" in line:
            return
    raise RuntimeError("Prism did not start: " + "".join(said))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
