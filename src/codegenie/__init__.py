"""An import guard for plugin folders.

PYTEST_DONT_REWRITE: pytest rewrites the assertions of packages with a pytest plugin, and warns if
such a package is already imported. This package is, because an activated guard imports it first.
"""

__version__ = "0.1.0"
