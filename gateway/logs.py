"""Logging: one line an event, with phone numbers masked whatever put them there."""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

from gateway.settings import Settings

# Any run that could be a number: 8 or more digits after a plus, or 10 and more without.
NUMBER = re.compile(r"\+\d{5,13}(?=\d{2})|(?<![\w-])\d{8,13}(?=\d{2}(?![\w-]))")


def configure(settings: Settings) -> None:
    """Sets up structlog, and lets the libraries' own loggers speak from WARNING up through the same mask."""
    level = logging.getLevelName(settings.log_level)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            mask_numbers,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
    )
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_mask_record)


def mask_numbers(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces what looks like a phone number in every text value by stars and its last two digits."""
    for key, value in event.items():
        if isinstance(value, str) and key != "timestamp":
            event[key] = NUMBER.sub("***", value)
    return event


def _mask_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = NUMBER.sub("***", record.getMessage()), None
    return True
