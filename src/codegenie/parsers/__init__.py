"""The only readers of JSON and YAML from disk."""
