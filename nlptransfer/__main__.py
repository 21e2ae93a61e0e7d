"""`python -m nlptransfer` is `nlptransfer`."""

from nlptransfer.cli import main

main()
