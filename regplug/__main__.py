"""``python -m regplug``."""

from regplug.cli import main

main()
