"""An import guard for plugin folders.

PYTEST_DONT_REWRITE: pytest rewrites the assertions of packages that bring a pytest plugin, and
warns of each that is already imported. This one is, wherever the start of the interpreter has
activated the guard.
"""

__version__ = "0.1.0"
