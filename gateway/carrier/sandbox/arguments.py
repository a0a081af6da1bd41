"""The command line of `python -m gateway.carrier.sandbox`, in both directions."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from gateway.carrier.sandbox.config import DEFAULT_PHONES, Answers, Faults, SandboxConfig, Sender

T = TypeVar("T")

# Where the flag is not the field's own name.
FLAGS = {
    "account_sid": "account",
    "auth_token": "token",
    "log_file": "log",
    "senders": "sender",
    "phones": "phone",
}


def parse(arguments: Sequence[str]) -> SandboxConfig:
    """The configuration these arguments ask for; exits with a usage message where they are wrong."""
    given = vars(_parser().parse_args(arguments))
    given["senders"] = tuple(given["senders"])
    given["phones"] = tuple(given["phones"] or DEFAULT_PHONES)
    return SandboxConfig(**given)


def arguments_of(config: SandboxConfig) -> list[str]:
    """The arguments that `parse` turns into `config`."""
    values = asdict(config)
    senders, phones, faults = values.pop("senders"), values.pop("phones"), values.pop("faults")
    pairs = [(name, value) for name, value in values.items() if value is not None]
    pairs += [("senders", json.dumps(sender)) for sender in senders]
    pairs += [("phones", phone) for phone in phones]
    pairs.append(("faults", json.dumps(faults)))
    return [f"{_flag(name)}={value}" for name, value in pairs]


def sender_from(given: dict[str, Any]) -> Sender:
    """A sender from JSON. Raises ValueError naming what is wrong."""
    try:
        return Sender(**(given | {"answers": Answers(given.get("answers", Answers.GATEWAY))}))
    except TypeError as error:
        raise ValueError(str(error).removeprefix("Sender.__init__() ")) from None


def _parser() -> ArgumentParser:
    default = SandboxConfig()
    parser = ArgumentParser(
        prog="python -m gateway.carrier.sandbox",
        description="A carrier that behaves like Twilio, with phones in the browser.",
    )

    def add(name: str, kind: Callable[[str], Any], meaning: str, **more: Any) -> None:
        options = {"dest": name, "type": kind, "help": meaning, "default": getattr(default, name)} | more
        parser.add_argument(_flag(name), **options)

    add("host", str, "address to listen on")
    add("port", int, "0 takes a free one, which the first line printed names")
    add("account_sid", str, "what the gateway signs in as")
    add("auth_token", str, "what it signs in with, and what webhooks are signed with")
    add("webhook", str, "URL that texts from the phones are posted to")
    add("answers", Answers, "who answers a STOP", choices=list(Answers))
    add(
        "senders",
        _json(sender_from),
        'JSON: {"number": "+1…", "answers": "twilio"}',
        action="append",
        default=[],
    )
    add("phones", str, "a phone on the page, in E.164", action="append", default=[])
    add("campaign_url", str, "link that the page offers for sending a campaign")
    add("log_file", str, "append every text to this file, one line of JSON each")
    add("faults", _json(Faults().changed), 'JSON: {"lost_answers": 0.1}')
    add("webhook_retries", int, "how often a webhook that failed is posted again")
    add("retry_pause", float, "seconds before the first of these")
    add("webhook_concurrency", int, "how many webhooks are posted at once")
    add("seed", int, "makes a run with faults repeatable")
    return parser


def _flag(name: str) -> str:
    return f"--{FLAGS.get(name, name).replace('_', '-')}"


def _json(build: Callable[[dict[str, Any]], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return build(json.loads(text))
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return read
