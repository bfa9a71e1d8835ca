"""Enforcement inside an importing process: from the request for a module to the code that runs.

Read in this order: ``enforcer`` (the decisions and their order), ``settings``, ``names``, ``specs``
and ``loaders`` (what the interpreter receives), ``strict`` (code that reaches the interpreter in
other ways), ``report``. Only ``codegenie.plugins`` and the modules of the start import from here.
Nothing here imports anything outside the standard library and the tiers below.
"""
