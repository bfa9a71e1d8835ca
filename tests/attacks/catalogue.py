"""All attacks, in the order in which they are printed."""

from __future__ import annotations

from tests.attacks import (
    bytecode,
    displacement,
    entries,
    lazily,
    libraries,
    lock,
    packs,
    path,
    precedence,
    primitives,
    scripts,
    settings,
    several,
    swallowed,
    timing,
    tree,
    units,
    vendored,
)

MODULES = (
    "native",
    "bytecode",
    "displacement",
    "entries",
    "lazily",
    "libraries",
    "lock",
    "packs",
    "path",
    "precedence",
    "primitives",
    "scripts",
    "settings",
    "several",
    "swallowed",
    "timing",
    "tree",
    "units",
    "vendored",
)
"""The modules that define attacks, and what only they use."""

CATALOGUE = (
    *tree.ATTACKS,
    *bytecode.ATTACKS,
    *packs.ATTACKS,
    *precedence.ATTACKS,
    *timing.ATTACKS,
    *entries.ATTACKS,
    *libraries.ATTACKS,
    *lock.ATTACKS,
    *displacement.ATTACKS,
    *path.ATTACKS,
    *settings.ATTACKS,
    *vendored.ATTACKS,
    *primitives.ATTACKS,
    *scripts.ATTACKS,
    *lazily.ATTACKS,
    *swallowed.ATTACKS,
    *several.ATTACKS,
    *units.ATTACKS,
)
