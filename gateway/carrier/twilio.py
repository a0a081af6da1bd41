"""Twilio as the carrier, through the official SDK.

The only module that imports the SDK's client. The SDK's own async HTTP client is not used: in 9.13 its
`timeout` does nothing, its `max_retries` repeats creates (double texts), it logs query parameters, and it
fails on current aiohttp when warnings are errors.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import aiohttp
from twilio.base import values
from twilio.base.exceptions import (
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from gateway.carrier import (
    OPTED_OUT_CODE,
    CarrierError,
    ListedMessage,
    OptedOutAtCarrier,
    OutcomeUnknown,
    OutgoingText,
    RateLimited,
    Refused,
    Sent,
    Unreachable,
)

TOO_MANY_REQUESTS_CODE = 20429  # https://www.twilio.com/docs/api/errors/20429
DEFAULT_RETRY_AFTER = 1.0
# Texts of one recipient looked through when settling a doubt; the one looked for is among the newest.
LIST_SENT_LIMIT = 200
# Twilio's own maximum, https://www.twilio.com/docs/usage/twilios-response#pagination
LARGEST_PAGE = 1000


class TwilioCarrier:
    """A `Carrier`. `timeout` bounds one request in seconds, `concurrency` the connections in use.

    Half of `timeout` may go into waiting for a connection; failing that is `Unreachable`, not a doubt.
    """

    def __init__(
        self,
        account_sid: str,
        auth_token: str,
        *,
        api_url: str | None = None,
        concurrency: int = 64,
        timeout: float = 10.0,
    ) -> None:
        self._http = _HttpClient(concurrency=concurrency, timeout=timeout)
        client = Client(account_sid, auth_token, http_client=self._http)
        if api_url is not None:
            client.api.base_url = api_url
        self._messages = client.messages

    async def send(self, text: OutgoingText) -> Sent:
        with _carrier_errors():
            created = await self._messages.create_async(
                to=text.to,
                body=text.body,
                from_=_given(text.sender),
                messaging_service_sid=_given(text.messaging_service_sid),
                status_callback=_given(text.status_callback),
                validity_period=_given(text.validity_seconds),
            )
        if not created.sid:
            raise OutcomeUnknown("answer without a SID")
        return Sent(created.sid, created.status)

    async def list_sent(self, to: str, since: datetime) -> list[ListedMessage]:
        # No DateSent filter: a text still queued at Twilio has no such date and would be missed.
        with _carrier_errors():
            found = await self._messages.list_async(to=to, limit=LIST_SENT_LIMIT, page_size=LIST_SENT_LIMIT)
            listed = [_listed(message) for message in found if message.direction != "inbound"]
        return [message for message in listed if message.created_at >= since.replace(microsecond=0)]

    async def list_received(self, since: datetime, until: datetime, to: str | None = None) -> list[ListedMessage]:
        # The SDK writes a "Z" behind whatever hour it is given.
        with _carrier_errors():
            found = await self._messages.list_async(
                to=_given(to),
                date_sent_after=since.astimezone(UTC),
                date_sent_before=until.astimezone(UTC),
                page_size=LARGEST_PAGE,
            )
            return [_listed(message) for message in found if message.direction == "inbound"]

    async def aclose(self) -> None:
        await self._http.close()


class _HttpClient(AsyncHttpClient):  # type: ignore[misc]
    """The SDK's door to the network: one aiohttp session with a real timeout and a sized pool."""

    def __init__(self, *, concurrency: int, timeout: float) -> None:
        # The SDK looks at `is_async` only. Its base class would add a logger that prints parameters.
        self.is_async = True
        self._concurrency = concurrency
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One request, never repeated when it carries a body (aiohttp repeats GETs only)."""
        async with self._open_session().request(
            method,
            uri,
            params=params,
            data=urlencode(data, doseq=True).encode() if data else None,
            headers=_headers(headers, auth),
            allow_redirects=allow_redirects,
        ) as answer:
            if answer.status == 429:
                raise RateLimited(_retry_after(answer.headers))
            return Response(answer.status, await answer.text(), answer.headers)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        # Not in __init__: a session belongs to the loop that runs when it is made.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._concurrency),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _headers(given: Mapping[str, str] | None, auth: tuple[str, str] | None) -> dict[str, str]:
    headers = dict(given or {})
    if auth is not None:
        headers["Authorization"] = _basic(*auth)
    return headers


@lru_cache(maxsize=8)
def _basic(login: str, password: str) -> str:
    return aiohttp.encode_basic_auth(login, password)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds to wait. The header's other form, a date, is treated as if it were absent."""
    try:
        return max(float(headers["Retry-After"]), 0.0)
    except (KeyError, ValueError):
        return DEFAULT_RETRY_AFTER


def _given(value: object) -> object:
    return values.unset if value is None else value


def _listed(message: Any) -> ListedMessage:
    return ListedMessage(
        sid=message.sid,
        to=message.to,
        sender=message.from_ or "",
        body=message.body or "",
        status=message.status,
        error_code=message.error_code,
        created_at=message.date_created.astimezone(UTC),
        direction=message.direction,
    )


@contextmanager
def _carrier_errors() -> Iterator[None]:
    """Turn what the SDK and aiohttp raise into ours; `from None`, since theirs quote numbers and bodies."""
    try:
        yield
    except CarrierError:
        raise
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        raise Unreachable(type(error).__name__) from None
    except (TwilioRestException, TwilioServiceException) as error:
        raise _from_answer(error) from None
    except Exception as error:  # whatever it is, the request may have arrived: JSON, timeout, cut line
        raise OutcomeUnknown(type(error).__name__) from None


def _from_answer(error: Any) -> CarrierError:
    if error.code == OPTED_OUT_CODE:
        return OptedOutAtCarrier()
    if error.code == TOO_MANY_REQUESTS_CODE:
        return RateLimited(DEFAULT_RETRY_AFTER)
    if 400 <= error.status < 500:
        code = error.code if isinstance(error.code, int) else error.status
        return Refused(code, _words_of(error))
    return OutcomeUnknown(f"HTTP {error.status}")


def _words_of(error: Any) -> str:
    if isinstance(error, TwilioRestException):
        return str(error.msg)
    return f"{error.title}: {error.detail}"
