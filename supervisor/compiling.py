"""What is said to the compiler of the accelerator (`accelerator/`). To Python it says nothing; this module itself is never compiled."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**said):
        """A decorator that leaves a class as it is."""
        return lambda cls: cls


__all__ = ["mypyc_attr"]
