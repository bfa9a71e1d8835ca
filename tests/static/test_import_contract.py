"""Plant a violation of each edge that the import contract forbids, and see the contract report it.

The contracts are in ``pyproject.toml``; ``lint-imports`` checks the source against them. The
violations are planted in a copy of the source, all at once, and the copy is analyzed once.
"""

from __future__ import annotations

import copy
import itertools
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

from tests.static.sources import PACKAGE, REPOSITORY

configuration.configure()

CONTRACTS: list[dict[str, Any]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())[
    "tool"
]["importlinter"]["contracts"]
TIERS = next(contract for contract in CONTRACTS if contract["name"].startswith("Each tier"))
REACH = next(contract for contract in CONTRACTS if contract["name"].startswith("Only the public"))
START = next(contract for contract in CONTRACTS if contract["name"].startswith("Each module of"))


def edges(layers: list[str]) -> set[tuple[str, str]]:
    """Return every forbidden edge between neighbors: a tier to the one above, and its siblings."""
    tiers = [layer.split(" | ") for layer in layers]
    upward = {
        (importer, imported)
        for above, below in itertools.pairwise(tiers)
        for importer in below
        for imported in above
    }
    return upward | {
        (one, other) for tier in tiers for one in tier for other in tier if one != other
    }


UPWARD = edges(TIERS["layers"])
IN_THE_START = edges(START["layers"])
REACHING = [name.removeprefix("codegenie.") for name in REACH["source_modules"]]


def planted_in(package: Path, name: str) -> Path:
    """Return the file of a module below ``codegenie``, or of a package's first module."""
    path = package / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> grimp.ImportGraph:
    """Return the imports of a copy of the source in which every forbidden edge is planted."""
    folder = tmp_path_factory.mktemp("planted")
    package = folder / "codegenie"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = [
        *UPWARD,
        *((f"_start.{one}", f"_start.{other}") for one, other in IN_THE_START),
        *((name, "_enforce.enforcer") for name in REACHING),
    ]
    for importer, imported in wanted:
        with planted_in(package, importer).open("a") as file:
            file.write(f"\n\ndef planted():\n    import codegenie.{imported}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, "codegenie")
        return grimp.build_graph(
            "codegenie",
            include_external_packages=True,
            exclude_type_checking_imports=True,
            cache_dir=None,
        )


def check(kind: type[Any], contract: dict[str, Any], graph: grimp.ImportGraph) -> dict[str, Any]:
    """Return what a contract reports about a graph."""
    options = {
        key: str(value) if isinstance(value, bool) else value  # as import-linter reads the file
        for key, value in contract.items()
        if key not in ("name", "type")
    }
    session = {"root_packages": ["codegenie"]}
    checked = kind(contract["name"], session, options).check(copy.deepcopy(graph), verbose=False)
    assert not checked.kept
    return dict(checked.metadata)


@pytest.mark.parametrize(
    ("contract", "container", "planted"),
    [(TIERS, "codegenie", UPWARD), (START, "codegenie._start", IN_THE_START)],
    ids=["tiers", "start"],
)
def test_planted_import_of_a_higher_tier_is_reported(
    graph: grimp.ImportGraph,
    contract: dict[str, Any],
    container: str,
    planted: set[tuple[str, str]],
) -> None:
    found = {
        (dependency["importer"], dependency["imported"])
        for dependency in check(LayersContract, contract, graph)["invalid_dependencies"]
    }
    assert planted
    assert {(f"{container}.{one}", f"{container}.{other}") for one, other in planted} <= found


def test_planted_import_of_enforcement_is_reported(graph: grimp.ImportGraph) -> None:
    chains = check(ForbiddenContract, REACH, graph)["invalid_chains"]
    found = {chain["downstream_module"] for chain in chains}
    assert found == set(REACH["source_modules"])


def test_tier_that_the_contract_does_not_name_is_reported(graph: grimp.ImportGraph) -> None:
    layers = [layer for layer in TIERS["layers"] if layer != "result"]
    metadata = check(LayersContract, {**TIERS, "layers": layers}, graph)
    assert metadata["undeclared_modules"] == {"codegenie.result"}


def test_contract_names_every_tier_above_enforcement_that_must_not_reach_it() -> None:
    """Check what the order of the tiers allows: a higher tier may import a lower one."""
    above = set()
    for layer in TIERS["layers"]:
        if layer == "_enforce":
            break
        above |= set(layer.split(" | "))
    assert above - {"__main__", "plugins"} <= set(REACHING)
