"""One page of the message list: filters, order, paging."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, islice
from urllib.parse import urlencode

from gateway.carrier.sandbox.resource import NOT_YET_SENT, resource
from gateway.carrier.sandbox.store import Message, Store, utc_now
from gateway.carrier.sandbox.webhooks import API_VERSION

DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 1000
FILTERS = ("To", "From", "DateSent", "DateSent<", "DateSent>")


def page_of(store: Store, account_sid: str, query: Mapping[str, str], lag: float) -> dict[str, object]:
    """The JSON of one page. Texts younger than `lag` seconds are missing, as in Twilio's list now and then.

    Raises ValueError naming a filter that cannot be read.
    """
    size = max(1, min(_number(query, "PageSize", DEFAULT_PAGE_SIZE), LARGEST_PAGE_SIZE))
    number = _number(query, "Page", 0)
    found = _after(query.get("PageToken"), _matching(store, query, lag))
    shown = list(islice(found, size))
    more = next(found, None) is not None
    filters = {name: query[name] for name in FILTERS if name in query}
    path = f"/{API_VERSION}/Accounts/{account_sid}/Messages.json"

    def uri(page: int, token: str | None) -> str:
        paging: dict[str, object] = {"PageSize": size, "Page": page}
        return f"{path}?{urlencode(filters | paging | ({'PageToken': token} if token else {}))}"

    return {
        "messages": [resource(account_sid, message) for message in shown],
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(len(shown) - 1, 0),
        "uri": uri(number, query.get("PageToken")),
        "first_page_uri": uri(0, None),
        "next_page_uri": uri(number + 1, f"PA{shown[-1].sid}") if more else None,
        "previous_page_uri": None,
    }


def _matching(store: Store, query: Mapping[str, str], lag: float) -> Iterator[Message]:
    youngest = utc_now() - timedelta(seconds=lag)
    sender, dated = query.get("From"), any(name.startswith("DateSent") for name in query)
    earliest, latest = _bounds(query)
    for message in store.newest_first(query.get("To")):
        sent = message.created_at.replace(microsecond=0)
        if (
            message.created_at <= youngest
            and sender in (None, message.sender)
            and earliest <= sent <= latest
            and not (dated and message.status in NOT_YET_SENT)
        ):
            yield message


def _bounds(query: Mapping[str, str]) -> tuple[datetime, datetime]:
    """The span of `DateSent>` to `DateSent<`, both ends included; `DateSent` alone means that day."""
    earliest, latest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    if "DateSent" in query:
        earliest = _moment(query, "DateSent").replace(hour=0, minute=0, second=0)
        latest = earliest + timedelta(days=1, seconds=-1)
    if "DateSent>" in query:
        earliest = _moment(query, "DateSent>")
    if "DateSent<" in query:
        latest = _moment(query, "DateSent<")
    return earliest, latest


def _moment(query: Mapping[str, str], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(query[name])
    except ValueError:
        raise ValueError(f"{name} is not a date") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name} is not a number")
    return int(text)


def _after(token: str | None, messages: Iterator[Message]) -> Iterator[Message]:
    """Everything behind the message that the token of the page before ended with."""
    if token is None:
        return messages
    rest = dropwhile(lambda message: f"PA{message.sid}" != token, messages)
    next(rest, None)
    return rest
