"""The wheel in an environment of its own, and the content of its bill of materials."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import codegenie
from scripts import release
from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import WITNESS
from tests.static.sources import REPOSITORY
from tests.static.test_release_metadata import pins

VERSION = codegenie.__version__

MANIFEST = """\
name: hello
version: "1.0"
scope: {task_class: demo, languages: "*", build_systems: "*"}
"""

APPLICATION = """\
import codegenie.plugins.guard
import plugins.hello.api
print(plugins.hello.api.GREETING)
"""

# A pinned setting leaves the first line to the activation.
UNGUARDED = APPLICATION.partition("\n")[2]


def run(
    *command: str | Path,
    cwd: Path,
    status: int = 0,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**clean_environment(), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done
    return done


def test_the_wheel_does_its_job(released: Path, environment: Path, tmp_path: Path) -> None:
    wheel = released / f"codegenie-{VERSION}-py3-none-any.whl"
    python, command = environment / "bin" / "python", environment / "bin" / "codegenie"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    run(*pip, "install", "-q", "--no-index", "--no-deps", str(wheel), cwd=tmp_path)
    run(*pip, "check", cwd=tmp_path)
    where = run(python, "-c", "import codegenie; print(codegenie.__file__)", cwd=tmp_path).stdout
    assert where.startswith(f"{environment}/lib/"), "not the checkout"

    application = tmp_path / "application"
    plugin = application / "plugins" / "hello"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text(MANIFEST)
    (plugin / "api.py").write_text(WITNESS + 'GREETING = "hello"\n')
    (application / "app.py").write_text(APPLICATION)
    (application / "unguarded.py").write_text(UNGUARDED)
    witness = tmp_path / "witness"
    variables = {"WITNESS": str(witness)}

    run(command, "plugins", "lock", cwd=application)
    run(command, "plugins", "verify", cwd=application)
    assert run(python, "app.py", cwd=application, variables=variables).stdout == "hello\n"
    assert witness.read_text() == "plugins.hello.api\n"
    witness.unlink()

    data = (plugin / "api.py").read_bytes()
    (plugin / "api.py").write_bytes(data.replace(b'"hello"', b'"hellp"'))
    assert run(python, "unguarded.py", cwd=application, variables=variables).stdout == "hellp\n"
    witness.unlink()
    refused = run(python, "app.py", cwd=application, status=1, variables=variables)
    assert "PluginImportRefused" in refused.stderr
    assert "api.py" in refused.stderr
    assert not witness.exists()
    assert run(command, "plugins", "verify", cwd=application, status=4).stderr

    run(command, "guard", "install", "--root", "plugins", cwd=application)
    document = status_of(command, application, 0)
    assert (document["state"], document["own_files"]["state"]) == ("enforcing", "intact")
    assert "PluginImportRefused" in run(python, "unguarded.py", cwd=application, status=1).stderr
    assert not witness.exists()
    (plugin / "api.py").write_bytes(data)
    run(python, "unguarded.py", cwd=application, variables=variables)

    # The installer's own list, with the script and the bytecode that it has added.
    record = Path(document["own_files"]["record"])
    assert "__pycache__" in record.read_text()
    assert "../bin/codegenie,sha256=" in record.read_text()
    hashing = record.parents[1] / "codegenie" / "hashing.py"
    whole = hashing.read_bytes()
    hashing.write_bytes(whole + b"\n")
    assert status_of(command, application, 1)["own_files"]["changed"] == ["codegenie/hashing.py"]
    hashing.write_bytes(whole)
    with command.open("a") as script:
        script.write("\n")
    assert status_of(command, application, 1)["own_files"]["changed"] == ["../../../bin/codegenie"]


def status_of(command: Path, folder: Path, status: int) -> dict[str, Any]:
    done = run(command, "guard", "status", "--json", cwd=folder, status=status)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def text_in(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, below in value.items():
                yield key
                yield from text_in(below)
        case list():
            for below in value:
                yield from text_in(below)
        case str():
            yield value


def test_the_bill_of_materials(released: Path, environment: Path, tmp_path: Path) -> None:
    path = released / f"codegenie-{VERSION}.cdx.json"
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    product = bill["metadata"]["component"]
    assert (product["name"], product["version"]) == ("codegenie", VERSION)
    assert product["licenses"][0]["license"]["id"] == "Apache-2.0"
    components = {
        re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"] for item in bill["components"]
    }
    assert components == {name: version for name, (version, _) in pins("runtime").items()}
    (direct,) = [
        item["dependsOn"] for item in bill["dependencies"] if item["ref"] == product["bom-ref"]
    ]
    assert len(direct) == 5

    # The same again: it holds no time but the given one, and nothing random.
    assert "serialNumber" not in bill
    assert ("timestamp" in bill["metadata"]) is ("SOURCE_DATE_EPOCH" in os.environ)
    release.bill_of_materials(environment, VERSION, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()

    # Nothing of the machine that it was made on: no folder, no index that pip is set up to use.
    configured = run(sys.executable, "-m", "pip", "config", "list", cwd=tmp_path).stdout
    places = {str(REPOSITORY), str(Path.home()), tempfile.gettempdir(), sys.prefix}
    places |= set(re.findall(r"(?:\w+:/)?/[^\s'\"]+", configured))
    places = {place.rstrip("/") for place in places} - {""}
    for text in text_in(bill):
        assert not {place for place in places if f"{place}/" in f"{text}/"}, text
        assert "file:" not in text
