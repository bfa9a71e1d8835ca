"""Run every benchmark on this Python: ``python -m benchmarks``."""

from benchmarks import time_import, time_startup

for benchmark in (time_startup, time_import):
    benchmark.main()
