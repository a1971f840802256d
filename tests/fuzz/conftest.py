"""What the fuzzers share: the seeds, as many as `--seeds` says."""

from __future__ import annotations

import pytest


@pytest.fixture
def seeds(request):
    """Return the seeds; every run takes the same ones, and a longer run more."""
    return range(request.config.getoption("--seeds"))
