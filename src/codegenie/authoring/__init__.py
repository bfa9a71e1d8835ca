"""Change a plugin folder for the commands: lock, merge, compile, scaffold, watch."""
