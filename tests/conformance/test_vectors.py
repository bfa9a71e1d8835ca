"""The published vectors, against the project, the published shell pipeline, and Node.

``tests/vectors/README.md`` describes the files, and the source of the digests.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codegenie.authoring import locking
from codegenie.hashing import tree_digest_of_files
from codegenie.integrity import file_list, lock, walk
from codegenie.plugins.loader import compute_plugin_tree_digest
from codegenie.plugins.lockfile import LockFile
from codegenie.plugins.manifest import PluginManifest
from codegenie.result import Ok
from codegenie.text import printable
from tests.static.sources import REPOSITORY, imports
from tests.vectors import generate
from tests.vectors.disk import FOLDER, Case, build, contents, entries, place

VECTORS: dict[str, list[Case]] = {
    name: json.loads((FOLDER / f"{name}.json").read_text())["cases"] for name in generate.VECTORS
}
NODE = shutil.which("node")
RECIPE = (REPOSITORY / "plugins" / "PLUGINS.lock.README.md").read_text()


def cases(name: str, *, accepted: bool | None = None) -> pytest.MarkDecorator:
    """Return one parameter per case."""
    chosen = [
        case
        for case in VECTORS[name]
        if accepted is None or accepted is (case["rejection"] is None)
    ]
    return pytest.mark.parametrize("case", chosen, ids=[case["name"] for case in chosen])


# --- the project ----------------------------------------------------------------------------------


@cases("trees", accepted=True)
def test_a_tree_and_its_digest(case: Case, tmp_path: Path) -> None:
    plugin = tmp_path / "alpha"
    build(case, plugin)
    assert compute_plugin_tree_digest(plugin) == Ok(case["tree_digest"])
    walked = walk.walk(str(tmp_path), "alpha").unwrap()
    assert {path: raw.hex() for path, (raw, _) in walked.files.items()} == case["file_digests"]
    counting = [
        (path.decode(), data)
        for path, data in entries(case)
        if path.decode() in case["file_digests"]
    ]
    assert tree_digest_of_files(counting) == case["tree_digest"]
    assert tree_digest_of_files(reversed(counting)) == case["tree_digest"]


def where(case: Case) -> str:
    """Return the path of a rejection, as text that a message can hold."""
    rejection = case["rejection"]
    if "path_base64" in rejection:
        return contents(rejection["path_base64"]).decode("utf-8", "backslashreplace")
    return printable(rejection["path"])


# The superuser can read everything, so it is given up. Imported modules and the working directory
# stay.
# The guard loads the words of a refusal late, and another user may not read its files.
AS_NOBODY = """
import os
import codegenie.refusals.kinds
from codegenie.integrity import walk
from codegenie.plugins.errors import model_of
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(model_of(walk.walk(".", "alpha").unwrap_err()).model_dump_json())
"""


@cases("trees", accepted=False)
def test_a_tree_that_is_refused(case: Case, tmp_path: Path) -> None:
    plugin = tmp_path / "alpha"
    build(case, plugin)
    if case["name"] == "unreadable":
        tmp_path.chmod(0o755)  # what pytest makes is for its own user only
        command = [sys.executable, "-c", AS_NOBODY]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        found = json.loads(done.stdout)
        path = tmp_path / found["offending_path"]
    else:
        rejection = compute_plugin_tree_digest(plugin).unwrap_err()
        found = rejection.model_dump()
        path = rejection.offending_path
    assert (found["kind"], found["plugin"]) == (case["rejection"]["kind"], "alpha")
    assert path == plugin / where(case)


@cases("locks")
def test_a_lock(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "PLUGINS.lock"
    # The link of one of them leads to a valid lock.
    (tmp_path / "other.lock").write_bytes(lock.render({}))
    if "content" in case:
        path.write_bytes(contents(case["content"]))
    elif case["special"] is not None:
        place(path, case["special"])
    found = LockFile.from_path(path)
    if case["entries"] is None:
        rejection = found.unwrap_err()
        assert (rejection.kind, rejection.plugin) == ("lock_file_malformed", "<lockfile>")
        assert rejection.detail.startswith(f"{path}: ")
    else:
        assert found.unwrap().root == case["entries"]
        is_as_written = lock.render(case["entries"]) == contents(case["content"])
        assert case.get("as_written", False) is is_as_written


@cases("sidecars")
def test_a_sidecar(case: Case, tmp_path: Path) -> None:
    (tmp_path / "PLUGINS.sha256").write_bytes(contents(case["content"]))
    found = {path: (bytes.fromhex(digest), 1) for path, digest in case["found"].items()}
    differences = file_list.explain(str(tmp_path), case["plugin"], case["locked"], found)
    if case["differences"] is None:
        assert differences is None
    else:
        assert differences is not None
        assert {
            "changed": list(differences.changed),
            "added": list(differences.added),
            "removed": list(differences.removed),
        } == case["differences"]


@cases("manifests")
def test_a_manifest(case: Case, tmp_path: Path) -> None:
    plugin = tmp_path / case["folder"]
    plugin.mkdir()
    if case["content"] is not None:
        (plugin / "plugin.yaml").write_bytes(contents(case["content"]))
    inspected = locking.inspect(str(tmp_path), manifest="codegenie")
    refusals = locking.propose(str(tmp_path), inspected=inspected).refusals
    read = PluginManifest.from_yaml(plugin / "plugin.yaml")
    if case["rejection"] is None:
        assert refusals == ()
        assert read.unwrap().name == case["folder"]
    else:
        (refusal,) = refusals
        assert (refusal.kind, refusal.plugin) == (case["rejection"], case["folder"])
        assert not isinstance(read, Ok)


# --- others ---------------------------------------------------------------------------------------


def published_pipeline() -> str:
    """As it is printed for operators, without the folder."""
    line = re.search(r"find \. .*?sha256sum$", RECIPE, flags=re.MULTILINE | re.DOTALL)
    assert line is not None
    return line[0]


@cases("trees", accepted=True)
def test_the_published_pipeline_computes_it(case: Case, tmp_path: Path) -> None:
    build(case, tmp_path / "alpha")
    done = subprocess.run(
        ["bash", "-c", published_pipeline()],
        cwd=tmp_path / "alpha",
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    # A case beyond the limits of the pipeline must give another digest there.
    assert (done.stdout.split()[0] == case["tree_digest"]) is ("not_by_shell" not in case), done


needs_node = pytest.mark.skipif(NODE is None, reason="the other implementation needs Node")


def check_in_node(folder: Path) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    command = [NODE, str(FOLDER / "check.mjs"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs_node
def test_an_implementation_in_another_language_agrees() -> None:
    done = check_in_node(FOLDER)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{name}.json: {len(VECTORS[name])} of {len(VECTORS[name])} agree"
        for name in ("trees", "locks", "sidecars")
    ]


def other_hex(digest: str) -> str:
    return ("1" if digest[0] == "0" else "0") + digest[1:]


@needs_node
def test_that_implementation_finds_every_wrong_expectation(tmp_path: Path) -> None:
    """Each case is made to expect something else, and each is found."""
    for name, vectors in VECTORS.items():
        wrong = json.loads(json.dumps(vectors))
        for number, case in enumerate(wrong):
            if (
                name == "trees"
                and case["rejection"] is None
                and number % 2
                and case["file_digests"]
            ):
                path = next(iter(case["file_digests"]))
                case["file_digests"][path] = other_hex(case["file_digests"][path])
            elif name == "trees" and case["rejection"] is None:
                case["tree_digest"] = other_hex(case["tree_digest"])
            elif name == "trees" and number % 2:
                case["rejection"] = {**case["rejection"], "kind": "integrity_mismatch"}
            elif name == "trees":
                case["rejection"] = {"kind": case["rejection"]["kind"], "path": "elsewhere"}
            elif name == "locks":
                case["entries"] = {"other": "0" * 64} if case["entries"] is None else None
                case.pop("as_written", None)
            elif name == "sidecars":
                nothing: dict[str, list[str]] = {"changed": [], "added": [], "removed": []}
                case["differences"] = nothing if case["differences"] is None else None
        (tmp_path / f"{name}.json").write_text(json.dumps({"cases": wrong}))
    done = check_in_node(tmp_path)
    assert done.returncode == 1
    named = {tuple(line.split(": ")[:2]) for line in done.stderr.splitlines()}
    checked = {n: cases for n, cases in VECTORS.items() if n != "manifests"}
    assert named == {(f"{n}.json", case["name"]) for n, cases in checked.items() for case in cases}


# --- the files themselves -------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
def test_they_are_frozen(name: str) -> None:
    """``generate`` makes, from coreutils, the same files as when they were frozen."""
    made = json.loads(json.dumps(generate.VECTORS[name]()))
    assert made == VECTORS[name]


def test_expectations_come_from_elsewhere() -> None:
    for path in FOLDER.glob("*.py"):
        assert not {m for m in imports(path.read_text()) if m.startswith("codegenie")}, path


def test_there_are_enough_and_each_says_why() -> None:
    assert len(VECTORS["trees"]) >= 40
    for vectors in VECTORS.values():
        names = [case["name"] for case in vectors]
        assert len(set(names)) == len(names)
        assert all(case["why"] for case in vectors)
    digests = [case["tree_digest"] for case in VECTORS["trees"] if case["tree_digest"]]
    alike = [case["name"] for case in VECTORS["trees"] if digests.count(case["tree_digest"]) > 1]
    # No two trees differ in nothing that counts, but for the two without a line.
    assert alike == ["no-files", "only-bytecode"]
