"""Every target runs once over its corpus and over bytes that Hypothesis makes, without libFuzzer;
and every target notices a reader that breaks the contract."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie._enforce import elf
from codegenie.authoring import merging
from codegenie.cli import configuration
from codegenie.files import Unreadable
from codegenie.integrity import file_list, lock, packs
from codegenie.parsers import safe_json, safe_yaml
from codegenie.plugins.manifest import PluginManifest
from codegenie.refusals import kinds
from codegenie.result import Err, Ok
from codegenie.trust import policy, sshsig, statement, times
from tests.fuzz import fuzz_elf, fuzz_pack, fuzz_sidecar
from tests.fuzz.__main__ import HERE, Outcome, fuzz, report, targets

CORPUS = HERE / "corpus"
INPUTS = [path for target in targets() for path in sorted((CORPUS / target).iterdir())]

# The duration of an example is no property of the code.
quick = settings(deadline=None, max_examples=100)


def module_of(target: str) -> Any:
    return importlib.import_module(f"tests.fuzz.fuzz_{target}")


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == targets() != []
    assert {path.parent.name for path in INPUTS} == set(targets())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_corpus(path: Path) -> None:
    module_of(path.parent.name).check(path.read_bytes())


@pytest.mark.parametrize("target", targets())
@quick
@given(data=st.data())
def test_any_bytes(target: str, data: st.DataObject) -> None:
    module = module_of(target)
    starts = [path.read_bytes() for path in INPUTS if path.parent.name == target]
    tokens = st.lists(st.sampled_from(module.TOKENS), max_size=20).map(b"".join)
    module.check(data.draw(st.one_of(st.binary(max_size=64), tokens, damaged(starts))))


@st.composite
def damaged(draw: st.DrawFn, starts: list[bytes]) -> bytes:
    """Return an input of the corpus with a few bytes changed, removed or put in."""
    data = bytearray(draw(st.sampled_from(starts)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


# --- each check can fail ------------------------------------------------------------------------


def raising(*_: object, **__: object) -> Any:
    raise KeyError("escapes")


def lenient_lock(path: str) -> Any:
    try:
        return Ok(dict(json.loads(Path(path).read_bytes())))
    except (ValueError, TypeError) as error:
        return Err(kinds.lock_file_malformed(path, str(error)))


def strict_lock(path: str) -> Any:
    return Err(kinds.lock_file_malformed(path, "whatever it holds"))


def unsorted_lock(entries: dict[str, str]) -> bytes:
    return json.dumps(entries).encode()


def lenient_json(data: bytes, *, max_depth: int) -> Any:
    return json.loads(data.decode("utf-8-sig"))


def lenient_yaml(data: bytes, *, max_depth: int) -> Any:
    return yaml.safe_load(data)


def lenient_manifest(data: bytes, *, folder: str) -> Any:
    smallest = (CORPUS / "manifest" / "smallest").read_bytes()
    return Ok(PluginManifest.model_validate(yaml.safe_load(smallest)))


def strict_manifest(data: bytes, *, folder: str) -> Any:
    return Err(Unreadable("plugin.yaml", "whatever it holds"))


def silent_manifest(data: bytes, *, folder: str) -> Any:
    return Err(Unreadable("plugin.yaml", ""))


def believing_sidecar(root: str, plugin: str, expected: str) -> Any:
    return fuzz_sidecar.section_of(Path(root, "PLUGINS.sha256").read_bytes())


def unbelieving_sidecar(root: str, plugin: str, expected: str) -> None:
    return None


def made_up_name(data: bytes) -> elf.Dynamic:
    return elf.Dynamic("", ["made-up.so"], [])


def lenient_toml(path: str) -> configuration.Configuration:
    tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return configuration.Configuration(path, tables.get("application"), ())


def strict_toml(path: str) -> configuration.Configuration:
    raise configuration.BadConfiguration("another file", "whatever it holds")


def unchecked_entry(self: packs.Pack, relative: str) -> bytes | None:
    offset, size, _ = self._entries[relative].split(" ")
    return fuzz_pack.PACK[int(offset) : int(offset) + int(size)]


def any_index(index: Any, tree_digest: str) -> Any:
    return index["entries"]


MERGE = merging._merge


def of_ours(*arguments: Any) -> merging.Merge:
    base, ours, _, *rest = arguments
    return MERGE(base, ours, ours, *rest)


def without_markers(*arguments: Any) -> merging.Merge:
    merge = MERGE(*arguments)
    lines = [line for line in merge.data.splitlines(keepends=True) if line[:7] not in MARKERS]
    return replace(merge, data=b"".join(lines))


MARKERS = (b"<" * 7, b"=" * 7, b">" * 7)
READ_SIGNATURE = sshsig.parse


def lenient_signature(data: bytes) -> sshsig.Signature:
    return READ_SIGNATURE(data.rstrip() + b"\n")


def accepting(signature: sshsig.Signature, message: bytes) -> None:
    pass


def lenient_statement(data: bytes) -> statement.Statement:
    read = json.loads(data)
    said = read["predicate"]
    subjects = {item["name"]: item["digest"]["sha256"] for item in read["subject"]}
    issued = times.parse(said["issued"])
    return statement.Statement(said["application"], int(said["sequence"]), issued, None, subjects)


def lenient_policy(data: bytes, *, folder: str) -> policy.Policy:
    read = json.loads(data.decode("utf-8-sig"))
    signers = {
        name: policy.Signer(name, key=sshsig.parse_public_key(entry["ssh"]))
        for name, entry in read["signers"].items()
    }
    required = read["expiry"] == "required"
    return policy.Policy("shop", int(read["threshold"]), signers, expiry_required=required)


# Defects of a reader, with the input of the corpus that shows each.
BROKEN: dict[str, tuple[str, object, str, Callable[..., Any]]] = {
    "takes any text for an id": ("lock/id-of-two-parts", lock, "read", lenient_lock),
    "takes any text for a digest": ("lock/digest-with-newline", lock, "read", lenient_lock),
    "refuses every lock": ("lock/one", lock, "read", strict_lock),
    "raises for a lock": ("lock/cut-off", lock, "read", raising),
    "writes another lock": ("lock/two", lock, "render", unsorted_lock),
    "reads a key twice": ("lock/key-twice-by-escape", safe_json, "parse", lenient_json),
    "reads deep JSON": ("lock/nested-three", safe_json, "parse", lenient_json),
    "reads a byte order mark": ("lock/byte-order-mark", safe_json, "parse", lenient_json),
    "reads not-a-number": ("lock/not-a-number", safe_json, "parse", lenient_json),
    "reads an alias": ("manifest/alias", safe_yaml, "parse", lenient_yaml),
    "reads a YAML key twice": ("manifest/key-twice", safe_yaml, "parse", lenient_yaml),
    "reads deep YAML": ("manifest/deep", safe_yaml, "parse", lenient_yaml),
    "raises for YAML": ("manifest/smallest", safe_yaml, "parse", raising),
    "takes any manifest": (
        "manifest/unknown-field",
        PluginManifest,
        "from_bytes",
        lenient_manifest,
    ),
    "makes up a manifest": ("manifest/everything", PluginManifest, "from_bytes", lenient_manifest),
    "refuses every manifest": ("manifest/flow", PluginManifest, "from_bytes", strict_manifest),
    "gives no reason": ("manifest/nothing", PluginManifest, "from_bytes", silent_manifest),
    "believes any sidecar": ("sidecar/several", file_list, "read_section", believing_sidecar),
    "believes no sidecar": ("sidecar/several", file_list, "read_section", unbelieving_sidecar),
    "raises for a sidecar": ("sidecar/not-utf-8", file_list, "read_section", raising),
    "reads unknown settings": ("config/unknown-key", configuration, "read", lenient_toml),
    "forgets a folder": ("config/several", configuration, "read", lenient_toml),
    "names another file": ("config/one", configuration, "read", strict_toml),
    "raises for a configuration": ("config/not-utf-8", configuration, "read", raising),
    "believes any entry": ("pack/other-digest", packs.Pack, "read", unchecked_entry),
    "reads a pack of another tree": ("pack/other-tree", packs, "_entries", any_index),
    "raises for an entry": ("pack/one", packs.Pack, "read", raising),
    "merges one side": ("merge/locks", merging, "_merge", of_ours),
    "merges one list": ("merge/lists", merging, "_merge", of_ours),
    "hides a conflict": ("merge/lists-in-conflict", merging, "_merge", without_markers),
    "raises for a merge": ("merge/empty", merging, "_merge", raising),
    "makes up a library": ("elf/wide-little", fuzz_elf, "read_dynamic", made_up_name),
    "takes anything for a library": ("elf/other", fuzz_elf, "read_dynamic", made_up_name),
    "raises for a library": ("elf/cut-off", fuzz_elf, "read_dynamic", raising),
    "reads text after a signature": ("signature/text-after", sshsig, "parse", lenient_signature),
    "accepts every signature": ("signature/ed25519", sshsig, "verify", accepting),
    "raises for a signature": ("signature/empty", sshsig, "parse", raising),
    "takes a bool for a number": ("statement/sequence-true", statement, "parse", lenient_statement),
    "reads an unknown key": ("statement/unknown-key", statement, "parse", lenient_statement),
    "raises for a statement": ("statement/smallest", statement, "parse", raising),
    "counts one key twice": ("policy/one-key-two-names", policy, "parse", lenient_policy),
    "counts one modulus twice": ("policy/one-modulus-two-names", policy, "parse", lenient_policy),
    "needs more signers than it has": (
        "policy/threshold-too-high",
        policy,
        "parse",
        lenient_policy,
    ),
    "takes a bool for a threshold": ("policy/threshold-true", policy, "parse", lenient_policy),
    "skips an unknown key": ("policy/unknown-key", policy, "parse", lenient_policy),
    "raises for a policy": ("policy/smallest", policy, "parse", raising),
}


@pytest.mark.parametrize(("shown_by", "owner", "name", "broken"), BROKEN.values(), ids=BROKEN)
def test_a_broken_reader_is_noticed(
    monkeypatch: pytest.MonkeyPatch, shown_by: str, owner: object, name: str, broken: Any
) -> None:
    monkeypatch.setattr(owner, name, broken)
    check = module_of(shown_by.partition("/")[0]).check
    with pytest.raises((AssertionError, KeyError)):
        check((CORPUS / shown_by).read_bytes())


# --- the runner ---------------------------------------------------------------------------------

with_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it is built for Linux on x86-64, up to Python 3.14",
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


@with_atheris
def test_a_bounded_run_reports_every_target() -> None:
    done = run("--runs", "200")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == targets()
    assert all(int(line.split()[1]) >= 200 and int(line.split()[4]) > 10 for line in lines[:-1])
    assert lines[-1] == f"0 of {len(targets())} targets broken"


PLANTED: Mapping[str, tuple[str, bytes]] = {
    "an exception": ("    assert data != b'%s'\n", b"crash me"),
    "an endless loop": ("    while data == b'%s': pass\n", b"stop me"),
}


@with_atheris
@pytest.mark.parametrize(("code", "wanted"), PLANTED.values(), ids=PLANTED)
def test_an_input_that_breaks_a_target_is_found_and_kept(
    tmp_path: Path, code: str, wanted: bytes
) -> None:
    """From the tokens of the planted target, which the corpus does not hold."""
    (tmp_path / "planted.py").write_text(
        f"TOKENS = [b'{wanted.decode()}']\ndef check(data):\n" + code % wanted.decode()
    )
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "start").write_bytes(b"")
    bound = ["-runs=20000", "-seed=1", "-timeout=1"]
    outcome = fuzz("planted", corpus, bound, path=[str(tmp_path)])
    assert not outcome.ok
    assert outcome.status != 0
    assert outcome.broken == (wanted,)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(77, 10, 5, (b"x\xff",), "noise\n" * 100 + "AssertionError: why"),
        Outcome(1, 0, 0, (), "AssertionError: why"),
        Outcome(0, 0, 0, (), "AssertionError: why"),
    ],
    ids=["an input", "it did not start", "it ran nothing"],
)
def test_a_broken_target_is_reported_with_its_reason(outcome: Outcome) -> None:
    lines = list(report("lock", outcome))
    assert not outcome.ok
    assert lines[0].endswith("BROKEN")
    assert "AssertionError: why" in lines
    assert len(lines) < 70
    assert [line for line in lines if line.startswith("input of")] == [
        f"input of {len(data)} bytes: {data!r}" for data in outcome.broken
    ]


def test_what_is_no_target_is_a_usage_error() -> None:
    done = run("nothing")
    assert done.returncode == 2
    assert "no such target: nothing" in done.stderr
