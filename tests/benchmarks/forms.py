"""Webhook requests as Twilio sends them, whole and signed by Twilio's own SDK, ready to be written to a socket."""

import itertools
from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from gateway.settings import Settings, load

ACCOUNT = "AC" + "a" * 32
TOKEN = "benchmark-auth-token"
PUBLIC_URL = "https://optout.example"
US_SENDER, DE_SENDER = "+18445550123", "+4915735980000"

US_AREAS = (202, 205, 212, 213, 214, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 718, 808, 907, 917, 972)
ORDINARY = (
    "Thanks!", "ok", "Is the store open on Sunday?", "Danke, bis morgen 🙂", "👍", "Who is this?",
    "Hi, could you tell me whether my order 4711 will arrive before Friday? I am away from then on.",
    "Ich komme heute etwas später, so gegen 18 Uhr.", "please stop by tonight",
)  # fmt: skip
_counter = itertools.count(1)
_VALIDATOR = RequestValidator(TOKEN)


def settings(database_url: str, **more: object) -> Settings:
    """The settings that all servers of a benchmark run under."""
    return load(
        database_url=database_url,
        public_url=PUBLIC_URL,
        secret_key="benchmark",
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        **more,
    )


def sid() -> str:
    """A MessageSid never used before in this run."""
    return f"SM{next(_counter):032x}"


def inbound_requests(count: int, *, stops: float) -> list[bytes]:
    """Texts from as many distinct numbers, half American, half German; this share of them a STOP."""
    every = round(1 / stops)
    ordinary = itertools.cycle(ORDINARY)
    bodies = ("STOP" if number % every == 0 else next(ordinary) for number in range(count))
    forms = map(_inbound, _numbers(count), bodies)
    return [_request("/twilio/inbound", form) for form in forms]


def _numbers(count: int) -> Iterator[str]:
    for place in itertools.islice(_counter, count):
        area = US_AREAS[place // 2 % len(US_AREAS)]
        yield f"+49157{35000000 + place}" if place % 2 else f"+1{area}{2000000 + place}"


def _inbound(number: str, body: str) -> dict[str, str]:
    german, message = number.startswith("+49"), sid()
    return {
        "ToCountry": "DE" if german else "US",
        "ToState": "",
        "SmsMessageSid": message,
        "NumMedia": "0",
        "ToCity": "",
        "FromZip": "" if german else "20001",
        "SmsSid": message,
        "FromState": "" if german else "DC",
        "SmsStatus": "received",
        "FromCity": "" if german else "WASHINGTON",
        "Body": body,
        "FromCountry": "DE" if german else "US",
        "To": DE_SENDER if german else US_SENDER,
        "ToZip": "",
        "NumSegments": "1",
        "MessageSid": message,
        "AccountSid": ACCOUNT,
        "From": number,
        "ApiVersion": "2010-04-01",
    }


def status_requests(sids: Mapping[int, str]) -> list[bytes]:
    """One `delivered` for each text of ours, given the SID of each id."""
    return [_request(f"/twilio/status?m={id_}", _delivered(message)) for id_, message in sids.items()]


def _delivered(message: str) -> dict[str, str]:
    return {
        "ApiVersion": "2010-04-01",
        "MessageStatus": "delivered",
        "SmsSid": message,
        "SmsStatus": "delivered",
        "To": "+4915735980001",
        "From": DE_SENDER,
        "MessageSid": message,
        "AccountSid": ACCOUNT,
        "RawDlrDoneDate": "2611231500",
    }


def _request(path: str, form: dict[str, str]) -> bytes:
    body = urlencode(form)
    return (
        f"POST {path} HTTP/1.1\r\n"
        "Host: optout.example\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "User-Agent: TwilioProxy/1.1\r\n"
        "Accept: */*\r\n"
        "I-Twilio-Idempotency-Token: 1b54b4c2-1a4d-4d58-8f0e-3d5d7f0b9f1e\r\n"
        f"X-Twilio-Signature: {_VALIDATOR.compute_signature(PUBLIC_URL + path, form)}\r\n"
        f"\r\n{body}"
    ).encode()
