"""What the commands do to a plugin folder: lock, merge, compile, scaffold, watch."""
