"""Anything that a user hands over -> a `Model`: patterns, and adapters for the models of libraries."""
