"""Bytes on disk against the lock: walk, hash, compare, read.

``verification`` holds the steps. ``walk`` and ``lock`` provide the two sides of the comparison, and
``reading`` is the only way to verified bytes. Nothing here depends on imports. The guard and the
command line use the same code.
"""
