"""Deliberately bad: an entry point to nothing."""
