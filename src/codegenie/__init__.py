"""An import guard for plugin folders."""


def __getattr__(name: str) -> str:
    # Looked up lazily: importlib.metadata costs more than the whole start-up path.
    if name == "__version__":
        from importlib.metadata import version

        return version("codegenie")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
