"""Sign on one machine, install and run on another: the commands of a release."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.attacks import packs
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Environment, Result
from tests.fixtures.signers import make_key
from tests.fixtures.trees import Application

IMPORT = "import plugins.alpha.api\nprint(plugins.alpha.api.answer())"


DAMAGE = {
    "{}": "the statement has no '_type'",
    "a link": "is a symbolic link, not a regular file",
}


@pytest.fixture
def home(application: Application) -> Path:
    """Return the application's folder, with two keys and a policy that trusts the first."""
    for name in ("alice", "bob"):
        make_key(application.folder, name)
    run(application.folder, "trust", "init", "trust.json", "--application", "shop")
    run(application.folder, "trust", "add", "trust.json", "alice", "--ssh", "alice.pub")
    return application.folder


def run(folder: Path, *arguments: str, status: int = 0) -> Result:
    done = in_process(folder, *arguments)
    assert done.status == status, done
    return done


def sign(folder: Path, name: str, *more: str, status: int = 0) -> Result:
    command = ("plugins", "sign", "--as", name, "--key", name, "--application", "shop")
    return run(folder, *command, *more, status=status)


def statement(folder: Path) -> dict[str, object]:
    data = (folder / "plugins/PLUGINS.statement.json").read_bytes()
    found: dict[str, object] = json.loads(data)["predicate"]
    return found


def test_a_release_is_signed_installed_and_run(home: Path, application: Application) -> None:
    environment = Environment(home / "env")
    sign(home, "alice")
    installed = environment.guard(
        "install", "--root", str(home / "plugins"), "--trust", str(home / "trust.json"), "--json"
    )
    assert installed.status == 0, installed
    assert installed.document["trust"]["floors"] == {str(home / "plugins"): 1}
    status = environment.guard("status")
    assert status.status == 0, status
    assert "signers     alice\n" in status.stdout
    assert "expires     never\n" in status.stdout
    assert application.start([environment.python, "-c", IMPORT]).stdout == "42\n"

    application.write("alpha/helper.py", "VALUE = 1\n")
    application.lock()
    refused = application.start([environment.python, "-c", IMPORT])
    assert refused.executed == ()
    assert "is about another lock [untrusted_lock]" in refused.stderr
    status = environment.guard("status", "--json")
    assert status.status == 4
    assert status.document["trust"][0]["trusted"] is False

    sign(home, "alice")
    assert application.start([environment.python, "-c", IMPORT]).stdout == "1\n"


def test_status_has_the_digest_of_the_deployed_statement(home: Path) -> None:
    """Show a statement that was deployed after the installation: an attacker may have signed it."""
    environment = Environment(home / "env")
    sign(home, "alice")
    install = ("install", "--root", str(home / "plugins"), "--trust", str(home / "trust.json"))
    assert environment.guard(*install).status == 0
    installed = digest_of_the_statement(home)
    sign(home, "alice", "--renew")
    deployed = digest_of_the_statement(home)
    assert deployed != installed
    document = environment.guard("status", "--json").document
    assert document["guard"]["trust"]["floor_statement"] == installed
    (trust,) = document["trust"]
    assert (trust["statement"], trust["sequence"]) == (deployed, 2)
    assert trust["issued"]
    (home / "plugins" / "PLUGINS.statement.json").unlink()
    (trust,) = environment.guard("status", "--json").document["trust"]
    assert (trust["trusted"], trust["statement"], trust["issued"]) == (False, None, None)


def digest_of_the_statement(home: Path) -> str:
    data = (home / "plugins" / "PLUGINS.statement.json").read_bytes()
    return hashlib.sha256(data).hexdigest()


def test_only_allow_rollback_lowers_the_floor(home: Path, application: Application) -> None:
    environment = Environment(home / "env")
    install = ("install", "--root", str(home / "plugins"))
    trust = ("--trust", str(home / "trust.json"))
    sign(home, "alice")
    kept = home / "kept"
    shutil.copytree(home / "plugins", kept)
    sign(home, "alice", "--renew")
    assert environment.guard(*install, *trust).status == 0
    shutil.rmtree(home / "plugins")
    shutil.copytree(kept, home / "plugins")
    assert application.start([environment.python, "-c", IMPORT]).executed == ()
    refused = environment.guard(*install, *trust)
    assert refused.status == 4
    assert "has the number 1, but number 2 was seen" in refused.stderr
    dropped = environment.guard(*install)
    assert dropped.status == 1
    assert "which this would drop" in dropped.stderr
    lowered = environment.guard(*install, *trust, "--allow-rollback")
    assert lowered.status == 0, lowered
    assert application.start([environment.python, "-c", IMPORT]).stdout == "42\n"


@pytest.mark.parametrize("installed", [False, True], ids=["deployed", "installed"])
def test_stolen_key_is_replaced_as_the_guide_says(
    home: Path, application: Application, installed: bool
) -> None:
    """Follow ``docs/howto/sign.md`` after the owner of a stolen key signed the last number."""
    environment = Environment(home / "env")
    install = ("install", "--root", str(home / "plugins"), "--trust")
    sign(home, "alice")
    kept = home / "kept"
    shutil.copytree(home / "plugins", kept)
    assert environment.guard(*install, str(home / "trust.json")).status == 0
    application.write("alpha/helper.py", "VALUE = 666\n")
    application.lock()
    sign(home, "alice", "--sequence", str(2**53 - 1))
    if installed:
        assert environment.guard(*install, str(home / "trust.json")).status == 0
    assert application.start([environment.python, "-c", IMPORT]).stdout == "666\n"

    shutil.copy(home / "trust.json", home / "trust-2.json")
    run(home, "trust", "add", "trust-2.json", "bob", "--ssh", "bob.pub")
    run(home, "trust", "revoke", "trust-2.json", fingerprint(home / "alice.pub"))
    early = environment.guard(*install, str(home / "trust-2.json"))
    assert early.status == 4
    assert "whose key is revoked" in early.stderr
    forged = home / "forged"
    (home / "plugins").rename(forged)
    kept.rename(home / "plugins")
    sign(home, "bob", "--renew", "--sequence", "50")
    more = ("--allow-rollback",) if installed else ()
    assert environment.guard(*install, str(home / "trust-2.json"), *more).status == 0
    assert application.start([environment.python, "-c", IMPORT]).stdout == "42\n"
    shutil.rmtree(home / "plugins")
    forged.rename(home / "plugins")
    refused = application.start([environment.python, "-c", IMPORT])
    assert refused.executed == ()
    assert "whose key is revoked" in refused.stderr


def fingerprint(public: Path) -> str:
    shown = subprocess.run(["ssh-keygen", "-lf", str(public)], capture_output=True, check=True)
    return shown.stdout.decode().split()[1]


def test_changed_policy_refuses_until_the_next_installation(
    home: Path, application: Application
) -> None:
    environment = Environment(home / "env")
    sign(home, "alice")
    install = ("install", "--root", str(home / "plugins"), "--trust", str(home / "trust.json"))
    assert environment.guard(*install).status == 0
    run(home, "trust", "add", "trust.json", "bob", "--ssh", "bob.pub")
    refused = application.start([environment.python, "-c", IMPORT])
    assert refused.executed == ()
    assert "the policy is not the one that was pinned" in refused.stderr
    assert environment.guard(*install).status == 0
    assert application.start([environment.python, "-c", IMPORT]).stdout == "42\n"


def test_a_signer_signs_no_longer_than_they_said(home: Path) -> None:
    sign(home, "bob", "--expires", "800w")
    planted = (home / "plugins/PLUGINS.statement.json").read_bytes()
    done = json.loads(sign(home, "alice", "--expires", "1d", "--json").stdout)
    assert (done["new"], done["sequence"]) == (True, 2)
    joined = json.loads(sign(home, "bob", "--expires", "1d", "--json").stdout)
    assert (joined["new"], joined["expires"]) == (False, done["expires"])
    (home / "plugins/PLUGINS.statement.json").write_bytes(planted)
    assert json.loads(sign(home, "alice", "--json").stdout)["new"] is False


def test_signatures_behind_a_link_stay(home: Path) -> None:
    sign(home, "alice")
    (home / "plugins/PLUGINS.signatures").rename(home / "others")
    (home / "plugins/PLUGINS.signatures").symlink_to(home / "others")
    refused = sign(home, "bob", "--renew", status=1)
    assert "is a symbolic link: remove it" in " ".join(refused.stderr.split())
    assert [path.name for path in (home / "others").iterdir()] == ["alice.sig"]


def test_two_locks_of_one_directory_are_not_signed(home: Path, application: Application) -> None:
    (home / "locks").mkdir()
    for name in ("one", "two"):
        shutil.copytree(home / "plugins", home / name)
        shutil.copy(application.lock_path, home / "locks" / f"{name}.lock")
    folder = '[[folder]]\nroot = "{0}"\npackage = "{0}"\nlock = "locks/{0}.lock"\n'
    (home / "codegenie.toml").write_text(folder.format("one") + folder.format("two"))
    refused = sign(home, "alice", status=2)
    assert "are in one directory, which holds one statement" in " ".join(refused.stderr.split())
    assert not (home / "locks/PLUGINS.statement.json").exists()


def test_an_installation_remembers_what_no_start_shows(home: Path) -> None:
    """Keep the floor under another path of the folder, and if no start runs the guard."""
    environment = Environment(home / "env")
    trust = ("--trust", str(home / "trust.json"))
    sign(home, "alice", "--sequence", "5")
    assert environment.guard("install", "--root", str(home / "plugins"), *trust).status == 0
    (home / "alias").symlink_to(home / "plugins")
    shutil.rmtree(home / "plugins/PLUGINS.signatures")
    (home / "plugins/PLUGINS.statement.json").unlink()
    sign(home, "alice")
    refused = environment.guard("install", "--root", str(home / "alias"), *trust)
    assert (refused.status, "number 5 was seen" in refused.stderr) == (4, True), refused
    other = home / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text("")
    install = ("install", "--root", str(home / "plugins"))
    dropped = environment.guard(*install, environment={"PYTHONPATH": str(other)})
    assert (dropped.status, "which this would drop" in dropped.stderr) == (1, True), dropped


def test_an_installation_pins_the_statement(home: Path, application: Application) -> None:
    environment = Environment(home / "env")
    install = ("install", "--root", str(home / "plugins"), "--trust-at", "install")
    sign(home, "bob")
    trust = ("--trust", str(home / "trust.json"))
    refused = environment.guard(*install, *trust, "--json")
    assert refused.status == 4
    assert refused.document["rejections"][0]["kind"] == "untrusted_lock"
    sign(home, "alice")
    assert environment.guard(*install, *trust).status == 0
    shutil.rmtree(home / "plugins/PLUGINS.signatures")
    assert application.start([environment.python, "-c", IMPORT]).stdout == "42\n"
    sign(home, "alice", "--renew")
    assert application.start([environment.python, "-c", IMPORT]).executed == ()


def test_signers_add_signatures_to_one_statement(home: Path) -> None:
    first = json.loads(sign(home, "alice", "--json").stdout)
    second = json.loads(sign(home, "bob", "--json").stdout)
    assert (first["new"], second["new"]) == (True, False)
    assert first["sha256"] == second["sha256"]
    assert (
        second["fingerprint"]
        in subprocess.run(
            ["ssh-keygen", "-lf", "bob.pub"], cwd=home, capture_output=True, text=True
        ).stdout
    )


def test_a_changed_lock_gets_the_next_number(home: Path, application: Application) -> None:
    sign(home, "alice")
    sign(home, "bob")
    application.add_plugin("beta")
    application.lock()
    done = json.loads(sign(home, "alice", "--json", "--expires", "90d").stdout)
    assert (done["sequence"], done["new"]) == (2, True)
    assert [Path(path).name for path in done["removed"]] == ["bob.sig"]
    assert "expires" in statement(home)
    assert sorted(os.listdir(home / "plugins/PLUGINS.signatures")) == ["alice.sig"]
    again = sign(home, "alice", "--sequence", "1", status=1)
    assert "higher --sequence" in again.stderr


@pytest.mark.parametrize("planted", [2**52 + 1, 2**53 - 1])
def test_a_planted_number_leaves_later_ones(
    home: Path, application: Application, planted: int
) -> None:
    """Refuse to sign a number from a file in which anyone may have written it."""
    path = home / "plugins/PLUGINS.statement.json"
    sign(home, "alice")
    path.write_text(path.read_text().replace('"sequence": 1\n', f'"sequence": {planted}\n'))
    assert statement(home)["sequence"] == planted
    assert "may be planted" in sign(home, "bob", status=1).stderr
    application.write("alpha/helper.py", "VALUE = 1\n")
    application.lock()
    assert "may be planted" in sign(home, "alice", status=1).stderr
    path.unlink()
    sign(home, "alice", "--sequence", str(planted))
    sign(home, "bob", "--sequence", str(planted))
    assert statement(home)["sequence"] == planted


def test_what_does_not_match_the_lock_is_not_signed(home: Path, application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    done = sign(home, "alice", "--json", status=4)
    assert done.document["rejections"][0]["kind"] == "integrity_mismatch"
    assert not (home / "plugins/PLUGINS.statement.json").exists()


def test_a_planted_pack_is_not_signed(home: Path, application: Application) -> None:
    """Refuse a pack that is not what the source compiles to, before a person vouches for it."""
    packs.write(application, {**packs.honest(application), "helper.py": packs.entry()})
    done = sign(home, "alice", status=4)
    assert "[unverified_code]" in done.stderr
    shutil.rmtree(home / "plugins/PLUGINS.bytecode")
    run(home, "plugins", "compile")
    folder = next((home / "plugins/PLUGINS.bytecode").iterdir())
    other = folder.with_name("cpython-39")
    other.mkdir()
    (other / "alpha.index").write_text("{}")
    named = json.loads(sign(home, "alice", "--json").stdout)
    assert list(named["subjects"]) == [
        f"PLUGINS.bytecode/{folder.name}/alpha.index",
        "PLUGINS.lock",
    ]
    assert list(named["left_out"]) == ["PLUGINS.bytecode/cpython-39/alpha.index"]
    both = json.loads(sign(home, "alice", "--json", "--other-bytecode").stdout)
    assert len(both["subjects"]) == 3


def test_an_agent_signs_with_the_public_half(home: Path) -> None:
    agent = subprocess.run(["ssh-agent", "-c"], capture_output=True, text=True, check=True).stdout
    words = agent.replace(";", " ").split()
    socket, process = (
        words[words.index("SSH_AUTH_SOCK") + 1],
        words[words.index("SSH_AGENT_PID") + 1],
    )
    variables = {**os.environ, "SSH_AUTH_SOCK": socket}
    try:
        subprocess.run(["ssh-add", "-q", "alice"], cwd=home, env=variables, check=True)
        (home / "alice").rename(home / "gone")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSH_AUTH_SOCK", socket)
            command = ("plugins", "sign", "--as", "alice", "--key", "alice.pub")
            run(home, *command, "--application", "shop")
    finally:
        os.kill(int(process), signal.SIGTERM)
    run(home, "trust", "check", "trust.json", "plugins")


def test_a_key_that_cannot_sign_writes_nothing(home: Path) -> None:
    command = ("plugins", "sign", "--as", "alice", "--key", "trust.json", "--application", "shop")
    done = run(home, *command, status=1)
    assert "ssh-keygen has not signed" in done.stderr
    assert not (home / "plugins/PLUGINS.statement.json").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("trust", "init", "trust.json", "--application", "shop"), 1, "exists already"),
        (("trust", "init", "t", "--application", " "), 1, "printable"),
        (("trust", "add", "trust.json", "again", "--ssh", "alice.pub"), 1, "are the same"),
        (("trust", "add", "trust.json", "alice", "--ssh", "bob.pub"), 1, "already"),
        (("trust", "add", "trust.json", "b b", "--ssh", "bob.pub"), 1, "the name of a signer"),
        (("trust", "add", "trust.json", "bob", "--ssh", "bob"), 1, "is a private key"),
        (("trust", "add", "trust.json", "bob"), 2, "--ssh or --sigstore"),
        (("trust", "add", "trust.json", "bob", "--sigstore"), 2, "--issuer"),
        (("trust", "revoke", "trust.json", "SHA256:short"), 1, "fingerprint"),
        (("trust", "check", "alice.pub", "plugins"), 1, "is not JSON"),
        (("plugins", "sign", "--as", "a"), 2, "--key or --sigstore"),
        (("plugins", "sign", "--as", "../a", "--key", "alice"), 2, "letters, digits"),
        (("plugins", "sign", "--as", "a", "--key", "alice"), 1, "give --application"),
        (("plugins", "sign", "--as", "a", "--key", "alice", "--expires", "9"), 2, "90d"),
    ],
)
def test_a_wrong_use_says_what_is_wrong(
    home: Path, arguments: tuple[str, ...], status: int, says: str
) -> None:
    before = (home / "trust.json").read_bytes()
    done = run(home, *arguments, status=status)
    assert says in done.stderr
    assert (home / "trust.json").read_bytes() == before


def test_a_policy_is_made_checked_and_exported(home: Path) -> None:
    sign(home, "alice")
    sign(home, "bob")
    checked = run(home, "trust", "check", "trust.json", "plugins", "--json").document
    assert checked["signers"] == ["alice"]
    assert checked["sha256"] == hashlib.sha256((home / "trust.json").read_bytes()).hexdigest()
    (home / "allowed").write_text(
        run(home, "trust", "export", "trust.json", "--allowed-signers").stdout
    )
    command = ["ssh-keygen", "-Y", "verify", "-f", "../allowed", "-I", "alice"]
    command += ["-n", "codegenie-plugins-v1", "-s", "PLUGINS.signatures/alice.sig"]
    with (home / "plugins/PLUGINS.statement.json").open("rb") as opened:
        done = subprocess.run(command, cwd=home / "plugins", stdin=opened, capture_output=True)
    assert done.returncode == 0, done
    shown = subprocess.run(["ssh-keygen", "-lf", "alice.pub"], cwd=home, capture_output=True)
    revoked = run(home, "trust", "revoke", "trust.json", shown.stdout.decode().split()[1])
    assert "1 revocation, in force on a machine after its next" in revoked.stderr
    refused = run(home, "trust", "check", "trust.json", "plugins", status=4)
    assert "whose key is revoked" in refused.stderr
    assert run(home, "trust", "export", "trust.json", "--allowed-signers").stdout == ""


def test_lock_says_that_the_statement_is_outdated(home: Path, application: Application) -> None:
    lock = ("plugins", "lock", "plugins")
    assert "PLUGINS.statement.json" not in run(home, *lock).stderr
    sign(home, "alice")
    assert "PLUGINS.statement.json" not in run(home, *lock).stderr
    assert run(home, *lock, "--json").document["statement_problem"] is None

    application.write("alpha/helper.py", "VALUE = 1\n")
    said = (
        "plugins/PLUGINS.statement.json is about another lock, so a guard with a trust policy "
        "refuses every plugin; run: codegenie plugins sign plugins --as NAME\n"
    )
    assert said in run(home, *lock, "alpha").stderr
    # Also a second time, though nothing is left to write.
    document = run(home, *lock, "--json").document
    assert document["statement_problem"].startswith("is about another lock")
    assert document["sign"] == "codegenie plugins sign plugins --as NAME"
    assert said in run(home, "plugins", "compile", "plugins").stderr
    sign(home, "alice")
    assert run(home, *lock, "--json").document["sign"] is None


def test_nothing_is_said_where_nothing_was_written(home: Path, application: Application) -> None:
    sign(home, "alice")
    application.write("alpha/helper.py", "VALUE = 1\n")
    check = ("plugins", "lock", "--check", "--json")
    assert run(home, *check, status=4).document["statement_problem"] is None
    compiled = run(home, "plugins", "compile", "--json", status=4).document
    assert (compiled["compiled"], compiled["statement_problem"]) == ([], None)
    application.add_plugin("beta")
    run(home, "plugins", "lock", "plugins", "beta")
    compiled = run(home, "plugins", "compile", "--json", status=4).document
    assert [found["plugin"] for found in compiled["compiled"]] == ["beta"]
    assert compiled["statement_problem"].startswith("is about another lock")


def test_compile_says_that_a_pack_is_not_signed(home: Path) -> None:
    sign(home, "alice")
    done = run(home, "plugins", "compile", "plugins")
    assert (
        "plugins/PLUGINS.statement.json does not name the bytecode of alpha, so a guard with a "
        "trust policy does not use it; run: codegenie plugins sign plugins --as NAME\n"
    ) in done.stderr
    sign(home, "alice")
    assert "does not name" not in run(home, "plugins", "compile").stderr


@pytest.mark.parametrize(("damage", "reason"), DAMAGE.items())
def test_a_damaged_statement_is_to_be_removed(
    home: Path, damage: str, reason: str, application: Application
) -> None:
    path = application.root / "PLUGINS.statement.json"
    if damage == "a link":
        path.symlink_to("PLUGINS.lock")
    else:
        path.write_text(damage)
    done = run(home, "plugins", "lock", "plugins")
    assert (
        f"plugins/PLUGINS.statement.json is not valid ({reason}), so a guard with a trust policy "
        "refuses every plugin; remove it; run: codegenie plugins sign plugins --as NAME "
        "--sequence N\n"
    ) in done.stderr


def test_the_pack_of_a_unit_with_a_long_name_is_signed(
    home: Path, application: Application
) -> None:
    application.add_plugin("n" * 250)
    application.lock()
    run(home, "plugins", "compile")
    sign(home, "alice")
    done = run(home, "plugins", "verify", "--bytecode", "--trust", "trust.json", "--json")
    assert done.document["unused_bytecode"] == {}


def test_verify_reads_no_lock_without_its_signers(home: Path, application: Application) -> None:
    verify = ("plugins", "verify", "--trust", "trust.json")
    sign(home, "bob")
    refused = run(home, *verify, "--json", status=4).document
    assert [found["kind"] for found in refused["rejections"]] == ["untrusted_lock"]
    assert refused["verified"] == []
    sign(home, "alice")
    assert run(home, *verify).stdout.endswith("  alpha\n")
    application.write("alpha/helper.py", "VALUE = 1\n")
    assert "[integrity_mismatch]" in run(home, *verify, status=4).stderr


def test_verify_compares_packs_with_the_statement(home: Path, application: Application) -> None:
    """Report a pack that no start uses: someone has written it."""
    verify = ("plugins", "verify", "--bytecode", "--trust", "trust.json", "--json")
    run(home, "plugins", "compile")
    folder = next((home / "plugins/PLUGINS.bytecode").iterdir())
    other = folder.with_name("cpython-39")
    shutil.copytree(folder, other)
    sign(home, "alice", "--other-bytecode")
    assert run(home, *verify).document["unused_bytecode"] == {}
    index = other / "alpha.index"
    index.write_bytes(index.read_bytes() + b"\n")
    (other / "beta.index").write_text("{}")
    (folder / "alpha.index").write_bytes((folder / "alpha.index").read_bytes() + b"\n")
    assert run(home, *verify).document["unused_bytecode"] == {
        "alpha": "the statement does not name the index, or names another one",
        "PLUGINS.bytecode/cpython-39/alpha.index": "the statement names another index",
        "PLUGINS.bytecode/cpython-39/beta.index": "no statement names it",
    }
    packs.write(application, {**packs.honest(application), "helper.py": packs.entry()})
    forged = run(home, *verify, status=4).document
    assert [found["kind"] for found in forged["rejections"]] == ["unverified_code"]


def test_a_rotation_needs_no_moment_without_a_signer(home: Path) -> None:
    run(home, "trust", "add", "trust.json", "new", "--ssh", "bob.pub")
    for name in ("alice", "bob"):
        sign(home, name)
        run(home, "trust", "check", "trust.json", "plugins")
    policy = json.loads((home / "trust.json").read_bytes())
    del policy["signers"]["alice"]
    (home / "trust.json").write_text(json.dumps(policy))
    run(home, "trust", "check", "trust.json", "plugins")
