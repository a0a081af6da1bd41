"""A carrier for those without an account: the part of Twilio we use, as an HTTP server of its own.

It accepts texts over Twilio's API, shows them on phones in the browser at `/`, posts what the phones answer
to the gateway, and makes the mistakes it is told to make (`Faults`).
"""

from gateway.carrier.sandbox.config import Answers, Faults, SandboxConfig, Sender
from gateway.carrier.sandbox.server import (
    RunningSandbox,
    create_sandbox,
    run,
    running_sandbox,
    spawned_sandbox,
)

__all__ = [
    "Answers",
    "Faults",
    "RunningSandbox",
    "SandboxConfig",
    "Sender",
    "create_sandbox",
    "run",
    "running_sandbox",
    "spawned_sandbox",
]
