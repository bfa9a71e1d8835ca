"""What is installed."""

from .distributions import Distribution, installed

__all__ = ["Distribution", "installed"]
