"""What a test says when an engine cannot be had: in CI it fails, elsewhere it is skipped and says so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.local.engines import Missing


@contextmanager
def needing() -> Iterator[None]:
    """Around whatever starts an engine."""
    try:
        yield
    except Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(f"NOT tested on the real engine: {missing}")
