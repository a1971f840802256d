"""``python -m regplug``."""

from regplug.cli import main

__all__: list[str] = []

main()
