"""The enforcement path: from the request for a module to the code that runs.

Read in this order: ``decision`` (what is decided, and in which order), ``settings``, ``names``,
``lock``, ``tree`` and ``verification`` (what it is decided from), ``reading`` (verified bytes),
``serving``, ``extensions`` and ``resources`` (what is handed to the interpreter). Nothing here
imports anything outside the standard library and this package.
"""
