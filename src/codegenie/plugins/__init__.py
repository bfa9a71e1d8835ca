"""The plugin guard, the loader and the lock."""
