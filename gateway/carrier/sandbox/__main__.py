"""`python -m gateway.carrier.sandbox`."""

import sys

from gateway.carrier.sandbox.arguments import parse
from gateway.carrier.sandbox.server import run

if __name__ == "__main__":
    run(parse(sys.argv[1:]))
