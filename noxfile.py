"""What ``make test`` runs. Each session has its own environment, from pinned hashes only."""

from __future__ import annotations

import os
import shutil
import sys

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = [
    "lint",
    "tests",
    "lazy",
    "fuzz",
    "trust",
    "docs",
    "demo",
    "hosts",
    "release",
]
nox.options.reuse_existing_virtualenvs = True
# An interpreter that is not on this machine is skipped; the one that runs nox is always there.
nox.options.error_on_missing_interpreters = False

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def by_number(version: str) -> int:
    return int(version.rstrip("t").split(".")[1])


SUPPORTED = ["3.11", "3.12", "3.13", "3.14", "3.15"]
PYTHONS = sorted({*SUPPORTED, RUNNING}, key=by_number)
PRESENT = [v for v in PYTHONS if v == RUNNING or shutil.which(f"python{v}")]

FUZZED = "3.14" if by_number(RUNNING) > by_number("3.14") else RUNNING
"""The newest that atheris is built for, see ``requirements/fuzz.in``."""

LAZY = [version for version in PYTHONS if by_number(version) >= by_number("3.15")]
"""The versions with lazy imports (PEP 810)."""

WORKERS = str((os.cpu_count() or 1) + 1)
"""Of the tests. One more than processors: most wait for interpreters that they have started."""

HARDLY_DEPENDS_ON_PYTHON = [
    "tests/conformance/test_vectors.py",
    "tests/endurance",
    "tests/fuzz",
    "tests/integration/test_cli.py",
    "tests/integration/test_cli_watch.py",
    "tests/integration/test_closed_streams.py",
    "tests/integration/test_event_log.py",
    "tests/integration/test_explained_refusals.py",
    "tests/integration/test_main_job.py",
    "tests/integration/test_merge_driver.py",
    "tests/integration/test_pytest_plugin.py",
    "tests/integration/test_record.py",
    "tests/integration/test_reporting.py",
    "tests/integration/test_settings.py",
    "tests/integration/test_trust_commands.py",
    "tests/property",
    "tests/unit/cli",
    "tests/unit/parsers",
]
"""Test folders and files that run on the oldest and the newest Python only."""

LANGUAGE = "tests/static/test_language.py"
ONCE = [
    *(f"tests/{name}" for name in ("command_line", "docs", "hosts", "release", "trust")),
    LANGUAGE,
]
"""What no Python changes. The sessions `lint`, `docs`, `hosts`, `release` and `trust` run it."""


def install(session: nox.Session, requirements: str = "dev") -> None:
    """The pinned tools, and the package as users get it: built, not linked."""
    # Python compiles what is used of the tools, which is little of them.
    locked = ("--require-hashes", "-r", f"requirements/{requirements}.txt")
    session.install("-q", "--no-compile", *locked)
    session.install("-q", "--no-deps", "--no-build-isolation", "--force-reinstall", ".")


@nox.session(python=RUNNING)
def lint(session: nox.Session) -> None:
    """Style, types, import layers, and what the command line says, which no Python changes."""
    install(session)
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")
    session.run(
        "python", "-X", "dev", "-m", "pytest", "-q", "-n", WORKERS, "tests/command_line", LANGUAGE
    )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The test suite against the installed package."""
    install(session)
    elsewhere = [*ONCE]
    if session.python not in (PRESENT[0], PRESENT[-1]):
        elsewhere += HARDLY_DEPENDS_ON_PYTHON
    ignored = [f"--ignore={path}" for path in elsewhere]
    command = ("python", "-X", "dev", "-m", "pytest", "-q", "-n", WORKERS)
    session.run(*command, *ignored, *session.posargs)


@nox.session(python=LAZY)
def lazy(session: nox.Session) -> None:
    """The attacks, and the forms of importing, where every import that can be lazy is lazy."""
    install(session)
    tests = (
        "attacks",
        *(f"integration/test_{n}.py" for n in ("import_forms", "lazy_imports", "modes")),
    )
    command = ("python", "-m", "pytest", "-q", "-n", WORKERS, *(f"tests/{path}" for path in tests))
    # Refused there as well, but as an untrusted lock, not for the replaced primitives.
    command += (
        "--deselect",
        "tests/attacks/test_attacks.py::test_attack[trust/replaced-primitives]",
    )
    # Not PYTHON_LAZY_IMPORTS: pytest itself does not start with it.
    session.run(*command, *session.posargs, env={"TESTS_LAZY_IMPORTS": "all"})


@nox.session(python=RUNNING)
def docs(session: nox.Session) -> None:
    """The documentation: the site is built, and every command that a page shows is run."""
    install(session)
    session.install("-q", "--require-hashes", "-r", "requirements/docs.txt")
    # Not --quiet: with it, warnings are not counted, and --strict lets everything pass.
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, "tests/docs", *session.posargs)


@nox.session(python=PYTHONS)
def attacks(session: nox.Session) -> None:
    """The attack catalogue as a table. The tests run the same attacks, and say less."""
    install(session)
    session.run("python", "-m", "tests.attacks", *session.posargs)


@nox.session(python=FUZZED)
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing of everything that reads what an attacker may have written."""
    install(session)
    session.install("-q", "--require-hashes", "-r", "requirements/fuzz.txt")
    session.run("python", "-X", "dev", "-m", "pytest", "-q", "tests/fuzz")
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ["--seconds", "10"]))


@nox.session(python=RUNNING)
def trust(session: nox.Session) -> None:
    """The signatures that need a library: Sigstore bundles, ECDSA and RSA keys."""
    install(session)
    session.install("-q", "--require-hashes", "-r", "requirements/trust.txt")
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, "tests/trust", *session.posargs)
    session.run("python", "-m", "tests.attacks", "sigstore")


@nox.session(python=RUNNING)
def endurance(session: nox.Session) -> None:
    """The tests of endurance for ``ENDURANCE_MINUTES``, an hour if it is not set."""
    install(session)
    session.install("-q", "--require-hashes", "-r", "requirements/endurance.txt")
    command = ("python", "-X", "dev", "-m", "pytest", "-q", "-s", "tests/endurance")
    session.run(*command, *session.posargs, env={"ENDURANCE": "long"})


@nox.session(python=RUNNING)
def mutation(session: nox.Session) -> None:
    """Small changes of the enforcing modules, each of which a test should notice. Takes hours."""
    install(session)
    session.run("python", "-m", "tests.mutation", *session.posargs)


@nox.session(python=PYTHONS)
def bench(session: nox.Session) -> None:
    """Benchmarks. Not part of the tests: machines are noisy, and figures are to be looked at."""
    install(session)
    names = ["startup", "small", "unrelated", "import", "trust", "by-path", "concurrency"]
    if session.python == PYTHONS[-1]:
        names += ["many", "verification"]  # the same on each, and they take longest
    session.run("python", "-m", "benchmarks", *(session.posargs or names))


@nox.session(python=RUNNING)
def plots(session: nox.Session) -> None:
    """Put the results of the benchmarks into the documentation, as plots and as tables."""
    session.install("-q", "--require-hashes", "-r", "requirements/plots.txt")
    session.run("python", "-m", "benchmarks.plots")
    session.run("python", "-m", "benchmarks.tables")


@nox.session(python=sorted({RUNNING, PRESENT[-1]}, key=by_number))
def demo(session: nox.Session) -> None:
    """What ``make run`` shows, with every exit status checked."""
    install(session, "run")
    session.run("python", "examples/demo.py")


@nox.session(python=RUNNING)
def hosts(session: nox.Session) -> None:
    """Real hosts in environments of their own: the light ones, or with ``-- all`` every one."""
    install(session)
    if "all" in session.posargs:
        environments = str(session.cache_dir / "hosts")
        session.run("python", "-m", "tests.hosts", "--environments", environments, "--write")
    else:
        command = ("python", "-m", "pytest", "-q", "-n", WORKERS, "--dist", "loadgroup")
        session.run(*command, "tests/hosts")


@nox.session(python=RUNNING)
def release(session: nox.Session) -> None:
    """What is released, made in ``dist/``: then built again elsewhere, installed and run."""
    install(session)
    session.install("-q", "--require-hashes", "-r", "requirements/release.txt")
    session.run("python", "scripts/release.py", "dist")
    environment = {"CODEGENIE_RELEASE": "dist"}
    session.run("python", "-m", "pytest", "-q", "-n", WORKERS, "tests/release", env=environment)
