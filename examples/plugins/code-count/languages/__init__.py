"""Which suffix is which language."""

from .table import Language, by_suffix

__all__ = ["Language", "by_suffix"]
