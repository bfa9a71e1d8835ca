"""The signatures that need a library. ``make trust`` installs them and runs these tests."""
