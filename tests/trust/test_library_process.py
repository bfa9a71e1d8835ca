"""The libraries run in a process that no planted library can enter; any other answer refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.result import Err
from codegenie.trust import library_process, sshsig
from codegenie.trust.policy import Signer
from tests.fixtures.signers import Key, make_key

DATA = b"a statement\n"

FORGED_LIBRARY = """\
import sys, types
class Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything
class Meta(type):
    def __getattr__(cls, name):
        return Anything
    def __instancecheck__(cls, other):
        return True
class Anything(Exception, metaclass=Meta):
    key_size, name = 4096, "secp256r1"
    def __init__(self, *args): pass
    def __getattr__(self, name): return Anything()
    def __call__(self, *args, **kwargs): return Anything()
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cryptography":
            from importlib.machinery import ModuleSpec
            return ModuleSpec(name, self, is_package=True)
    def create_module(self, spec): return Module(spec.name)
    def exec_module(self, module): pass
for name in [n for n in sys.modules if n.partition(".")[0] == "cryptography"]:
    del sys.modules[name]
sys.meta_path.insert(0, Finder())
import cryptography
"""

IN_THIS_PROCESS = """\
import json, sys
from codegenie.trust import other_keys
"""

ISOLATED = """\
import json, sys
from codegenie.trust import library_process
other_keys = type("", (), {"verify_signature": library_process.verifiers()["other keys"]})
"""

VERIFY = """\
from codegenie.trust.policy import Signer
data, signature, key = (bytes.fromhex(text) for text in json.load(sys.stdin))
print(other_keys.verify_signature(data, signature, Signer("alice", key=key)))
"""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("keys"), "alice", "rsa")


def plant_on_the_path(folder: Path) -> dict[str, str]:
    (folder / "cryptography.py").write_text(FORGED_LIBRARY)
    return {"PYTHONPATH": str(folder)}


def plant_in_a_zip(folder: Path) -> dict[str, str]:
    archive = folder / "forged.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("cryptography.py", FORGED_LIBRARY)
    return {"PYTHONPATH": str(archive)}


def plant_in_the_working_directory(folder: Path) -> dict[str, str]:
    (folder / "cryptography.py").write_text(FORGED_LIBRARY)
    return {}


@pytest.mark.parametrize(
    "plant", [plant_on_the_path, plant_in_a_zip, plant_in_the_working_directory]
)
def test_planted_library_accepts_only_in_the_same_process(
    key: Key, tmp_path: Path, plant: Callable[[Path], dict[str, str]]
) -> None:
    environment = {**os.environ, **plant(tmp_path)}
    signature = key.sign(b"another statement")
    texts = [DATA, signature, sshsig.parse_public_key(key.public)]
    document = json.dumps([text.hex() for text in texts])

    def verdict(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code + VERIFY],
            cwd=tmp_path,
            env=environment,
            input=document,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    assert verdict(IN_THIS_PROCESS) == "Ok(None)"
    assert "does not match" in verdict(ISOLATED)


def signer_of(key: Key) -> Signer:
    return Signer("alice", key=sshsig.parse_public_key(key.public))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "no verdict"),
        ("print('{\"verified\": true}'); raise SystemExit(1)", "no verdict"),
        ('print(\'{"verified": true}\\\\n{"verified": true}\')', "no verdict"),
        ("print('{\"verified\": 1}')", "no verdict"),
        ("raise MemoryError('too little')", "too little"),
    ],
    ids=["silent", "failed", "twice", "almost", "crashed"],
)
def test_any_other_answer_is_a_refusal(
    key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code_in_shell(code)}"\n')
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    verdict = library_process.verifiers()["other keys"](DATA, key.sign(DATA), signer_of(key))
    assert isinstance(verdict, Err)
    assert says in verdict.error


def code_in_shell(code: str) -> str:
    return code.replace('"', '\\"')


def test_unknown_interpreter_is_a_refusal(key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("", "/nonexistent/python"):
        monkeypatch.setattr(sys, "executable", executable)
        verdict = library_process.verifiers()["other keys"](DATA, key.sign(DATA), signer_of(key))
        assert isinstance(verdict, Err)


BARE = """\
import sys
sys.modules["cryptography"] = sys.modules["sigstore"] = None
from codegenie.trust import library_process
library_process.main()
"""


@pytest.mark.parametrize(("kind", "extra"), library_process.EXTRAS.items())
def test_missing_library_refuses_and_names_the_extra(key: Key, kind: str, extra: str) -> None:
    request = library_process._request(kind, DATA, key.sign(DATA), signer_of(key))
    answer = subprocess.run(
        [sys.executable, "-c", BARE], input=request, capture_output=True, check=True
    )
    assert f"pip install 'codegenie[{extra}]'" in json.loads(answer.stdout)["error"]


SOCKETS = """\
import socket, sys
from codegenie.trust import library_process
sys.addaudithook(library_process._refuse_sockets)
for use in (socket.socket, lambda: socket.getaddrinfo("localhost", 80)):
    try:
        use()
    except PermissionError as error:
        print(error)
"""


def test_no_socket_can_be_opened() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SOCKETS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "a verifier opens no socket\n" * 2
