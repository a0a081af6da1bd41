"""Posts to the application as Twilio does: forms signed by Twilio's own SDK."""

from typing import Any

from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from tests.gateway.helpers import ACCOUNT, sid

TOKEN = "test-auth-token"
BASE = "https://optout.example"


def form(number: str, body: str, **more: str) -> dict[str, str]:
    """The parameters of an inbound webhook, with the ones that Twilio sends empty."""
    return {
        "MessageSid": sid(),
        "SmsSid": "",
        "AccountSid": ACCOUNT,
        "From": number,
        "To": "+4915735980000",
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
        "FromCity": "",
        "FromCountry": "DE",
        "ApiVersion": "2010-04-01",
        **more,
    }


def post(client: TestClient, path: str, params: dict[str, Any], token: str = TOKEN, **headers: str) -> Any:
    signature = RequestValidator(token).compute_signature(BASE + path, params)
    return client.post(path, data=params, headers={"X-Twilio-Signature": signature, **headers})
