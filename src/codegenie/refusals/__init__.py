"""Refusals: the record, its kinds, its words, and the exceptions that carry it.

The record is plain, so a refusal needs nothing beyond the standard library. The models that
programs receive are in ``codegenie.plugins.errors``.
"""
