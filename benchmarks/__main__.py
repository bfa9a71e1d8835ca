"""Run every benchmark on this Python: ``python -m benchmarks``."""

from benchmarks import time_startup

for benchmark in (time_startup,):
    benchmark.main()
