import logging
import sys

import pytest
import structlog

from gateway.logs import clean, configure
from gateway.settings import load


@pytest.mark.parametrize(
    ("told", "logged"),
    [
        ("to +4915735981001 failed", "to ***01 failed"),
        ("4915735981001", "***01"),
        ("whatsapp:+4915735981001", "whatsapp:***01"),
        ("0157 35981001", "0157 35981001"),
        ("message 123456 in 2026", "message 123456 in 2026"),
        ("SM0123456789abcdef0123456789abcdef", "SM0123456789abcdef0123456789abcdef"),
    ],
)
def test_numbers_are_masked(told: str, logged: str) -> None:
    assert clean(None, "info", {"event": told})["event"] == logged


def test_in_our_lines_and_in_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    try:
        configure(load())
        structlog.get_logger().warning("sent to +4915735981001", cause="+4915735981002")
        logging.getLogger("some.library").warning("number %s", "+4915735981003")
        try:
            raise ValueError("bad +4915735981004")
        except ValueError:
            structlog.get_logger().exception("failed")
            logging.getLogger("some.library").exception("failed +4915735981005")
        seen = "".join(capsys.readouterr())
        sys.stdout.write(seen)
        for last in range(1, 6):
            assert f"1573598100{last}" not in seen, last
        assert seen.count("***0") >= 5
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()


def test_one_event_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(load())
    structlog.get_logger().warning("broken\nlevel=error event=forged", why="a\x1b[31mb\r\nc")
    structlog.reset_defaults()
    seen = capsys.readouterr().out
    assert len(seen.splitlines()) == 1
    assert "\x1b" not in seen
