"""Import, load and verify plugins: the interface for applications."""
