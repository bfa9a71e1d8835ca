"""Count code, comment and blank lines per language."""
