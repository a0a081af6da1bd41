"""Campaigns: one text to many recipients, from the draft to the queue.

A draft collects recipients; `start` hands it to the job `expand`, which turns recipients into queued texts
batch by batch. The rows say how far it came, so a batch that is lost or run twice does no harm.
"""

from gateway.campaigns.drafts import MOST_AT_ONCE, Added, add_recipients, cancel, create, most_text, start
from gateway.campaigns.expansion import estimate, expand_batch
from gateway.campaigns.filling import Filled, country_of, fill
from gateway.campaigns.progress import Progress, listing, out_of, progress, waiting

__all__ = [
    "MOST_AT_ONCE",
    "Added",
    "Filled",
    "Progress",
    "add_recipients",
    "cancel",
    "country_of",
    "create",
    "estimate",
    "expand_batch",
    "fill",
    "listing",
    "most_text",
    "out_of",
    "progress",
    "start",
    "waiting",
]
