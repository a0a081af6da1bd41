"""The law as data, and what it says for a person at an instant."""

from gateway.regions.format import Limit, PackError
from gateway.regions.pack import Pack, load, packaged
from gateway.regions.rules import RegionRefusal, Rules, check_double_opt_out, next_allowed, rules_at
from gateway.regions.windows import Window

__all__ = [
    "Limit",
    "Pack",
    "PackError",
    "RegionRefusal",
    "Rules",
    "Window",
    "check_double_opt_out",
    "load",
    "next_allowed",
    "packaged",
    "rules_at",
]
