"""The message list: filters, both sides of their bounds, and paging."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.carrier.sandbox import SandboxConfig
from gateway.carrier.sandbox.listing import page_of
from gateway.carrier.sandbox.store import Message, Store, new_sid

ACCOUNT = "AC" + "5" * 32
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANNA, BEN, SHOP, CLUB = "+4915228817386", "+12125550142", "+18555550123", "+18555550124"


def stored(*specs: tuple[str, str, datetime]) -> Store:
    store = Store(SandboxConfig())
    for number, (to, sender, at) in enumerate(specs):
        message = Message(new_sid(), to, sender, f"text {number}", "outbound-api", "delivered", at)
        store.add(message)
    return store


def bodies(store: Store, lag: float = 0.0, **query: str) -> list[str]:
    return [message["body"] for message in page_of(store, ACCOUNT, query, lag)["messages"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["text 2", "text 1", "text 0"]),
        ({"To": ANNA}, ["text 2", "text 0"]),
        ({"To": "+4930123456"}, []),
        ({"From": CLUB}, ["text 2"]),
        ({"To": ANNA, "From": SHOP}, ["text 0"]),
        ({"To": SHOP}, []),
    ],
)
def test_who(query, found):
    store = stored((ANNA, SHOP, NOON), (BEN, SHOP, NOON), (ANNA, CLUB, NOON))
    assert bodies(store, **query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"DateSent>": "2026-03-01T12:00:00Z"}, True),
        ({"DateSent>": "2026-03-01T12:00:01Z"}, False),
        ({"DateSent<": "2026-03-01T12:00:00Z"}, True),
        ({"DateSent<": "2026-03-01T11:59:59Z"}, False),
        ({"DateSent": "2026-03-01"}, True),
        ({"DateSent": "2026-03-01T20:00:00Z"}, True),
        ({"DateSent": "2026-02-28"}, False),
        ({"DateSent": "2026-03-02"}, False),
        ({"DateSent>": "2026-03-01"}, True),
        ({"DateSent>": "2026-03-02"}, False),
        ({"DateSent>": "2026-03-01T11:00:00Z", "DateSent<": "2026-03-01T13:00:00Z"}, True),
    ],
)
def test_when(query, found):
    store = stored((ANNA, SHOP, NOON + timedelta(microseconds=900_000)))
    assert bodies(store, **query) == (["text 0"] if found else [])


@pytest.mark.parametrize(("status", "found"), [("queued", 0), ("accepted", 0), ("sent", 1), ("delivered", 1)])
def test_a_text_not_sent_yet_has_no_date_to_be_found_by(status, found):
    store = stored((ANNA, SHOP, NOON))
    next(store.newest_first()).status = status
    assert len(bodies(store, **{"DateSent>": "2026-01-01"})) == found
    assert len(bodies(store)) == 1


@pytest.mark.parametrize(("age", "found"), [(59, 0), (61, 1)])
def test_a_list_that_lags(age, found):
    store = stored((ANNA, SHOP, datetime.now(UTC) - timedelta(seconds=age)))
    assert len(bodies(store, lag=60.0)) == found


def test_pages_follow_each_other_even_when_texts_come_in_between():
    store = stored(*[(ANNA, SHOP, NOON)] * 5)
    first = page_of(store, ACCOUNT, {"PageSize": "2", "To": ANNA}, 0.0)
    assert first["next_page_uri"].startswith(f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?To=%2B49152")
    store.add(Message(new_sid(), ANNA, SHOP, "late", "outbound-api", "delivered", NOON))
    seen = [message["body"] for page in _pages(store, first) for message in page["messages"]]
    assert seen == ["text 4", "text 3", "text 2", "text 1", "text 0"]


def _pages(store, page):
    while True:
        yield page
        if page["next_page_uri"] is None:
            return
        page = page_of(store, ACCOUNT, dict(parse_qsl(urlsplit(page["next_page_uri"]).query)), 0.0)


@pytest.mark.parametrize(
    ("size", "shown", "more"),
    [("1", 1, True), ("2", 2, True), ("3", 3, False), ("0", 1, True), ("9", 3, False)],
)
def test_page_size(size, shown, more):
    page = page_of(stored(*[(ANNA, SHOP, NOON)] * 3), ACCOUNT, {"PageSize": size}, 0.0)
    assert len(page["messages"]) == shown
    assert (page["next_page_uri"] is not None) == more
    assert (page["start"], page["end"]) == (0, shown - 1)


@pytest.mark.parametrize(("asked", "size"), [({}, 50), ({"PageSize": "1000"}, 1000), ({"PageSize": "1001"}, 1000)])
def test_page_size_has_a_default_and_a_limit(asked, size):
    assert page_of(stored(), ACCOUNT, asked, 0.0)["page_size"] == size


@pytest.mark.parametrize(
    ("name", "value"),
    [("DateSent", "x"), ("DateSent<", "1.2.2026"), ("DateSent>", ""), ("Page", "-1"), ("PageSize", "2.5")],
)
def test_a_filter_that_cannot_be_read_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        page_of(stored(), ACCOUNT, {name: value}, 0.0)
