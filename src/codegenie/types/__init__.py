"""Identities: what a plugin id and a digest are."""
