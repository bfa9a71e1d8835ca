"""``python -m codegenie``."""

from codegenie.cli import main

if __name__ == "__main__":
    main()
