"""Packs of verified bytecode: made, used, passed over when anything is wrong, and proved.

Attacks on packs are in ``tests/attacks/packs.py``.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.packs import ENTER_NAMESPACE, NAMESPACES
from tests.fixtures.environments import Environment
from tests.fixtures.trees import Application, Outcome

TAG = str(sys.implementation.cache_tag)
STATUS = (
    "import plugins.alpha.api as api, codegenie.plugins.guard as guard\n"
    "print(api.answer()); print(guard.status().bytecode['alpha'])"
)


def cli(application: Application, *arguments: str, flags: tuple[str, ...] = ()) -> Outcome:
    return application.start([sys.executable, *flags, "-m", "codegenie", "plugins", *arguments])


def compiled(application: Application, *flags: str) -> Path:
    """Compile the plugins; the folder of the packs."""
    outcome = cli(application, "compile", "--json", "plugins", flags=flags)
    assert outcome.status == 0, outcome
    return Path(json.loads(outcome.stdout)["folder"])


def use(application: Application, **options: Any) -> tuple[int, int, str]:
    """Modules from the pack, modules compiled, and why: of a run that must give its answer."""
    outcome = application.run(STATUS, **options)
    answer, said = outcome.stdout.splitlines()
    assert (answer, outcome.stderr) == ("42", ""), outcome
    found = eval(said)
    return found["from_pack"], found["compiled"], found["reason"]


def test_without_a_pack_source_is_compiled(application: Application) -> None:
    assert use(application) == (0, 2, "there is no pack")


def test_with_a_pack_nothing_is_compiled(application: Application) -> None:
    folder = compiled(application)
    assert folder == application.root / "PLUGINS.bytecode" / TAG
    assert sorted(path.name for path in folder.iterdir()) == ["alpha.index", "alpha.pack"]
    outcome = application.run(
        """
        import sys
        compiled = []
        sys.addaudithook(lambda e, a: e == 'compile' and compiled.append(str(a[1])))
        import plugins.alpha.api as api
        print(api.answer(), [name for name in compiled if 'plugins' in name])
        """
    )
    assert outcome.stdout == "42 []\n", outcome
    assert use(application) == (2, 0, "")


def test_packs_are_of_the_optimisation_level_that_they_were_made_for(
    application: Application,
) -> None:
    """An attacker who may rename folders beside the lock must not remove a program's assertions."""
    optimised = compiled(application, "-OO")
    optimised.rename(optimised.parent / TAG)
    assert use(application) == (0, 2, "the pack was made for another optimisation level")
    outcome = cli(application, "verify", "--bytecode", "plugins")
    assert "would not be used: the pack was made for another" in outcome.stderr


@pytest.mark.parametrize("level", [1, 2])
def test_each_optimisation_level_has_its_own_packs(application: Application, level: int) -> None:
    flag = "-" + "O" * level
    compiled(application)
    assert use(application, flags=[flag]) == (0, 2, "there is no pack")
    folder = compiled(application, flag)
    assert folder.name == f"{TAG}.opt-{level}"
    assert use(application, flags=[flag]) == (2, 0, "")
    assert use(application) == (2, 0, "")


def test_the_folder_may_move(application: Application) -> None:
    """Tracebacks, ``inspect`` and ``__file__`` name the place where the plugin is now."""
    application.write(
        "alpha/api.py", "from . import helper\ndef answer():\n    return helper.VALUE\n"
    )
    application.lock()
    compiled(application)
    (application.folder / "moved").mkdir()
    application.root.rename(application.folder / "moved" / "plugins")
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard, inspect
        guard.install(root='moved/plugins')
        import plugins.alpha.api as api
        print(guard.status().bytecode['alpha']['from_pack'])
        for path in (api.__file__, api.answer.__code__.co_filename, inspect.getsourcefile(api)):
            print(path.endswith('/moved/plugins/alpha/api.py'))
        print(inspect.getsource(api.answer))
        """
    )
    assert outcome.stdout.startswith("2\nTrue\nTrue\nTrue\ndef answer():"), outcome


def test_a_lock_elsewhere_has_its_packs_beside_it(application: Application) -> None:
    elsewhere = application.folder / "locks"
    elsewhere.mkdir()
    application.lock_path.rename(elsewhere / "PLUGINS.lock")
    outcome = cli(application, "compile", "--lock", "locks/PLUGINS.lock", "plugins")
    assert outcome.status == 0, outcome
    assert (elsewhere / "PLUGINS.bytecode" / TAG / "alpha.pack").exists()
    set_up = "import codegenie.plugins.guard as g; g.install(root='plugins', lock='locks/PLUGINS.lock')\n"
    assert "'from_pack': 2" in application.run(set_up + STATUS).stdout


@pytest.mark.parametrize("checking", ["always", "never", "default"])
def test_the_interpreters_own_setting_for_hash_based_bytecode_is_heeded(
    application: Application, checking: str
) -> None:
    """``always`` reads the source as well, and compares it with the hash in the entry."""
    compiled(application)
    assert use(application, flags=["--check-hash-based-pycs", checking]) == (2, 0, "")


def test_audit_mode_uses_none(application: Application) -> None:
    """A file that changed must run as it would without the guard."""
    compiled(application)
    outcome = application.run(
        "import plugins.alpha, codegenie.plugins.guard as guard\n"
        "open('plugins/alpha/helper.py', 'a').write('VALUE = 43\\n')\n"
        "import plugins.alpha.api as api; print(api.answer(), guard.status().bytecode)",
        environment={"CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.stdout == "43 {}\n", outcome


@pytest.mark.parametrize("source", ["x = (\n", "def f():\n    raise ValueError('from f')\n\nf()\n"])
def test_tracebacks_are_those_of_plain_python(application: Application, source: str) -> None:
    application.write("alpha/broken.py", source)
    application.lock()
    compiled(application)
    script = "import plugins.alpha.broken"
    guarded, plain = application.run(script), application.run(script, guarded=False)
    # The first frame is the script's own, which is a line longer with the guard.
    assert guarded.stderr.splitlines()[2:] == plain.stderr.splitlines()[2:]
    assert guarded.stderr.splitlines()[2:]


def no_index(folder: Path) -> None:
    (folder / "alpha.index").unlink()


def no_pack(folder: Path) -> None:
    (folder / "alpha.pack").unlink()


def empty_index(folder: Path) -> None:
    (folder / "alpha.index").write_bytes(b"")


def truncated_index(folder: Path) -> None:
    path = folder / "alpha.index"
    path.write_bytes(path.read_bytes()[:-40])


def truncated_pack(folder: Path) -> None:
    path = folder / "alpha.pack"
    path.write_bytes(path.read_bytes()[:30])


def garbage(folder: Path) -> None:
    """Marshal data that makes a reader crash, or run out of memory."""
    path = folder / "alpha.pack"
    path.write_bytes(path.read_bytes()[:16] + b"[\xff\xff\xff\x7f" * 100)


def other_format(folder: Path) -> None:
    edit(folder, format=2)


def other_magic(folder: Path) -> None:
    edit(folder, magic="00000d0a")


def other_tree(folder: Path) -> None:
    edit(folder, tree="a" * 64)


def no_entries(folder: Path) -> None:
    edit(folder, entries={})


def odd_entries(folder: Path) -> None:
    edit(folder, entries={"api.py": [1, 2, 3], "helper.py": None})


def negative_offsets(folder: Path) -> None:
    edit(folder, entries={"api.py": f"-5 10 {'a' * 64}", "helper.py": f"0 -10 {'a' * 64}"})


def a_list(folder: Path) -> None:
    (folder / "alpha.index").write_text("[]")


def deep(folder: Path) -> None:
    (folder / "alpha.index").write_text("[" * 100_000)


def a_folder(folder: Path) -> None:
    (folder / "alpha.index").unlink()
    (folder / "alpha.index").mkdir()


def a_fifo(folder: Path) -> None:
    for name in ("alpha.index", "alpha.pack"):
        (folder / name).unlink()
        os.mkfifo(folder / name)


def a_link(folder: Path) -> None:
    (folder / "alpha.index").rename(folder / "other.index")
    (folder / "alpha.index").symlink_to("other.index")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "alpha.index"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


BROKEN = [
    no_index,
    no_pack,
    empty_index,
    truncated_index,
    truncated_pack,
    garbage,
    other_format,
    other_magic,
    other_tree,
    no_entries,
    odd_entries,
    negative_offsets,
    a_list,
    deep,
    a_folder,
    a_fifo,
    a_link,
]


@pytest.mark.parametrize("damage", BROKEN, ids=lambda damage: damage.__name__)
def test_whatever_is_wrong_with_a_pack_source_is_compiled(
    application: Application, damage: Callable[[Path], None]
) -> None:
    damage(compiled(application))
    from_pack, from_source, reason = use(application)
    assert (from_pack, from_source) == (0, 2), reason
    assert reason


def test_a_changed_plugin_that_was_locked_anew_is_compiled(application: Application) -> None:
    compiled(application)
    application.write("alpha/helper.py", "VALUE = 42  # the same\n")
    application.lock()
    assert use(application) == (
        0,
        2,
        "the pack is stale: it was made of another state of the plugin",
    )


def test_verify_and_status_name_packs_that_are_not_used(
    application: Application, tmp_path: Path
) -> None:
    """Accept a pack that is not used, and say so: its source runs."""
    application.add_plugin("beta")
    application.lock()
    folder = compiled(application)
    environment = Environment(tmp_path / "env")
    environment.activate(application.root)
    damaged = "an entry of the pack is not what its index says"
    for change, line in (
        (lambda: None, "2 not compared with the source"),
        (
            lambda: (folder / "alpha.pack").write_bytes(bytes(9999)),
            f"1 not compared with the source; not used: alpha ({damaged})",
        ),
        (lambda: (folder / "beta.pack").unlink(), f"not used: alpha ({damaged}), beta"),
    ):
        change()
        outcome = cli(application, "verify", "plugins")
        assert outcome.status == 0, outcome
        assert f"packs of bytecode, see --bytecode: {line}" in outcome.stderr
        shown = environment.guard("status")
        assert f"packs       {line}" in shown.stdout, shown
    packs = environment.guard("status", "--json").document["folders"][0]["packs"]
    assert packs == {"alpha": damaged, "beta": "the pack cannot be read"}


def test_lock_tells_that_a_pack_has_become_stale(application: Application) -> None:
    compiled(application)
    assert "stale" not in cli(application, "lock", "plugins").stderr
    application.write("alpha/helper.py", "VALUE = 42  # the same\n")
    outcome = cli(application, "lock", "plugins")
    assert "the bytecode of alpha is stale" in outcome.stderr
    assert "codegenie plugins compile plugins" in outcome.stderr


def test_only_what_passes_is_compiled(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = cli(application, "compile", "plugins")
    assert outcome.status == 4, outcome
    assert "[integrity_mismatch]" in outcome.stderr
    assert not (application.root / "PLUGINS.bytecode").exists()


def test_unwritable_packs_are_not_blamed_on_the_plugin(application: Application) -> None:
    (application.root / "PLUGINS.bytecode").write_text("a file in the way")
    outcome = cli(application, "compile", "plugins")
    assert (outcome.status, outcome.stdout) == (1, ""), outcome
    assert outcome.stderr.startswith("the bytecode of alpha cannot be written to ")
    assert use(application)[:2] == (0, 2)


def test_what_does_not_compile_is_left_out(application: Application) -> None:
    application.write("alpha/template.py", "{{ name }} = {% value %}\n")
    application.write("alpha/odd.py", "x = '\\d'\n")
    application.lock()
    outcome = cli(application, "compile", "--json", "plugins")
    assert (outcome.status, outcome.stderr.count("Warning")) == (0, 0), outcome
    assert json.loads(outcome.stdout)["compiled"][0]["modules"] == 3
    assert use(application) == (2, 0, "")


def test_verify_bytecode_proves_what_a_pack_holds(application: Application) -> None:
    compiled(application)
    outcome = cli(application, "verify", "--bytecode", "plugins")
    assert (outcome.status, "would not be used" in outcome.stderr) == (0, False), outcome


def test_verify_bytecode_tells_that_a_pack_would_not_be_used(application: Application) -> None:
    outcome = cli(application, "verify", "--bytecode", "--json", "plugins")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["unused_bytecode"] == {"alpha": "there is no pack"}


def test_verify_bytecode_finds_code_that_is_not_of_the_source(application: Application) -> None:
    """An attacker who can write the index can make it vouch for anything. This check finds it."""
    folder = compiled(application)
    script = f"""
import importlib.util, marshal, hashlib, json, pathlib
folder = pathlib.Path({str(folder)!r})
index = json.loads((folder / 'alpha.index').read_text())
offset, size, _ = index['entries']['helper.py'].split()
pack = (folder / 'alpha.pack').read_bytes()
entry = pack[int(offset):int(offset) + int(size)]
forged = entry[:16] + marshal.dumps(compile('VALUE = 43', 'x', 'exec'))
index['entries']['helper.py'] = f"{{len(pack)}} {{len(forged)}} {{hashlib.sha256(forged).hexdigest()}}"
(folder / 'alpha.pack').write_bytes(pack + forged)
(folder / 'alpha.index').write_text(json.dumps(index))
"""
    assert application.run(script, guarded=False).status == 0
    outcome = cli(application, "verify", "--bytecode", "plugins")
    assert outcome.status == 4, outcome
    assert "helper.py is other code in its pack" in outcome.stderr
    assert "[unverified_code]" in outcome.stderr


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_readers_of_the_lock_can_read_the_packs(application: Application, umask: int) -> None:
    """A root shell with a strict umask compiles for the user of a service."""
    application.lock_path.chmod(0o644)
    code = f"import os; os.umask({umask}); import runpy; runpy.run_module('codegenie', alter_sys=True, run_name='__main__')"
    outcome = application.start([sys.executable, "-c", code, "plugins", "compile", "plugins"])
    assert outcome.status == 0, outcome
    folder = application.root / "PLUGINS.bytecode"
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.rglob("*"))}
    assert {0o755 if p.is_dir() else 0o644 for p in modes} == set(modes.values()), modes
    assert use(application)[:2] == (2, 0)


@pytest.mark.parametrize("at", ["PLUGINS.bytecode", "PLUGINS.bytecode/TAG"])
def test_no_pack_is_written_through_a_link(application: Application, at: str) -> None:
    elsewhere = application.folder / "elsewhere"
    elsewhere.mkdir()
    tag = sys.implementation.cache_tag
    assert tag is not None
    link = application.root / at.replace("TAG", tag)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)
    outcome = cli(application, "compile", "plugins")
    assert (outcome.status, os.listdir(elsewhere)) == (1, []), outcome
    assert "cannot be written to" in outcome.stderr


def test_a_link_in_the_place_of_a_pack_is_replaced(application: Application) -> None:
    compiled(application)
    (index,) = (application.root / "PLUGINS.bytecode").rglob("*.index")
    victim = application.folder / "victim"
    victim.write_text("precious")
    index.unlink()
    index.symlink_to(victim)
    compiled(application)
    assert victim.read_text() == "precious"
    assert use(application)[:2] == (2, 0)


# --- owners in a user namespace -------------------------------------------------------------------

OWNERS = {"root": 0, "nobody": 65534, "another user": 12345}
UNMAPPED = "the index belongs to a user that this user namespace does not map"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files to another user")
@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS.keys())
def test_if_all_users_are_mapped_each_owner_counts(application: Application, owner: int) -> None:
    """A container often runs as the user 65534."""
    index = compiled(application) / "alpha.index"
    for path in (application.lock_path, index):
        os.chown(path, owner, owner)
    assert use(application) == (2, 0, "")


@pytest.mark.skipif(not NAMESPACES.available, reason=f"needs {NAMESPACES.what}")
@pytest.mark.parametrize(
    ("owner", "expected"),
    [(0, (2, 0, "")), (65534, (0, 2, UNMAPPED)), (12345, (0, 2, UNMAPPED))],
    ids=OWNERS.keys(),
)
def test_an_unmapped_owner_is_not_trusted(
    application: Application, owner: int, expected: tuple[int, int, str]
) -> None:
    index = compiled(application) / "alpha.index"
    for path in (application.lock_path, index):
        os.chown(path, owner, owner)
    outcome = application.run(ENTER_NAMESPACE + STATUS)
    answer, said = outcome.stdout.splitlines()
    found = eval(said)
    assert answer == "42"
    assert (found["from_pack"], found["compiled"], found["reason"]) == expected


def test_a_program_that_knows_marshal_may_write_bytecode(application: Application) -> None:
    """Let a build write bytecode. No digest covers the file, so it is not read back."""
    outcome = application.run(
        """
        import marshal
        path = 'plugins/alpha/made.pyc'
        with open(path, 'wb') as file:
            file.write(marshal.dumps(compile('', path, 'exec')))
        import plugins.alpha.api
        for mode in 'rb', 'r+b':
            try:
                open(path, mode)
            except PermissionError as error:
                print(mode, error.strerror.partition(':')[2])
        """
    )
    refused = " bytecode is in no digest\n"
    assert outcome.stdout == f"rb {refused}r+b {refused}", outcome
