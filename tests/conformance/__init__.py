"""What CPython asks of finders, loaders and modules, asked of the guard's."""
