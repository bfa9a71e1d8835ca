"""Define and parse plugin ids and digests."""
