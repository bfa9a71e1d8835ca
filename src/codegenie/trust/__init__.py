"""Decide who vouches for a lock: statements, signatures of them, and policies.

A *statement* beside the lock names the lock by its digest. A *signer* signs the statement. A
*policy*, pinned by its digest out of the plugins' reach, lists the accepted signers. The
enforcement path imports ``vouching``, ``evidence`` and the modules that these need: the standard
library alone.
"""
