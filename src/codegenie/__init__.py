"""An import guard for plugin folders."""

__version__ = "0.1.0"
