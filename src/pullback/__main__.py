"""`python -m pullback` is the command line."""

from pullback.cli.app import main

main()
