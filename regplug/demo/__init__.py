"""The demo: a small network on real data, with and without regularizers.

``regplug demo`` runs it.
"""
