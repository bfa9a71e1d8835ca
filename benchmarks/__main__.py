"""Run benchmarks on this Python: ``python -m benchmarks [name ...]``, or all of them."""

import sys
from collections.abc import Callable

from benchmarks import (
    aims,
    time_by_path,
    time_concurrency,
    time_import,
    time_many,
    time_small,
    time_startup,
    time_trust,
    time_unrelated,
    time_verification,
)

BENCHMARKS: dict[str, Callable[[], None]] = {
    "startup": time_startup.main,
    "small": time_small.main,
    "unrelated": time_unrelated.main,
    "import": time_import.main,
    "trust": time_trust.main,
    "by-path": time_by_path.main,
    "many": time_many.main,
    "concurrency": time_concurrency.main,
    "verification": time_verification.main,
}

for name in sys.argv[1:] or BENCHMARKS:
    BENCHMARKS[name]()
aims.main()
