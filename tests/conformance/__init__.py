"""The protocols of CPython's finders, loaders and modules, checked on the guard's."""
