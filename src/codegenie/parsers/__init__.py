"""Read JSON and YAML from disk. No other module does."""
