"""`python -m gateway` is `optout`."""

from gateway.cli import main

main()
