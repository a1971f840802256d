"""Installed packages -> names -> classes; nothing is imported to list."""
