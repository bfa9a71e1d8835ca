"""Coverage-guided fuzzing of the readers of files that an attacker may have written.

A target is a module ``fuzz_NAME`` with a function ``check`` that takes any bytes and returns, or
raises because the reader broke the contract; its ``TOKENS`` are pieces of the format, and
``corpus/NAME`` holds inputs to start from. ``python -m tests.fuzz`` runs them all under libFuzzer;
``test_fuzz_targets`` runs them once without it.
"""
