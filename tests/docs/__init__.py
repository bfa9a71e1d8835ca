"""The documentation is run: commands as printed, in order, in a fresh folder and environment."""
