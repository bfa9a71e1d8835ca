"""A lock or a manifest that is not what it must be.

Each lock pins the tree on disk, with the payload in it, and is malformed in one way: a
reader that overlooks it lets the payload run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Refused
from tests.fixtures.trees import MANIFEST, Application, oracle

MAX_LOCK = MAX_MANIFEST = 64 * 1024
SPARE = "0" * 64


def with_the_payload(application: Application) -> str:
    """Put the payload into the plugin; return the digest of the tree with it."""
    application.write("alpha/api.py", PAYLOAD)
    return oracle(application.plugin)


def lock(text: str | bytes) -> Callable[[Application], None]:
    """Prepare a lock with this text, in which ``DIGEST`` is replaced by the digest of the tree."""

    def prepare(application: Application) -> None:
        data = text if isinstance(text, bytes) else text.encode()
        digest = with_the_payload(application)
        application.lock_path.write_bytes(data.replace(b"DIGEST", digest.encode()))

    return prepare


def encoded(encoding: str) -> Callable[[Application], None]:
    def prepare(application: Application) -> None:
        text = f'{{"alpha": "{with_the_payload(application)}"}}'
        application.lock_path.write_bytes(text.encode(encoding))

    return prepare


def missing(application: Application) -> None:
    with_the_payload(application)
    application.lock_path.unlink()


def a_link(application: Application) -> None:
    lock(VALID)(application)
    application.lock_path.rename(application.folder / "elsewhere.lock")
    application.lock_path.symlink_to("../elsewhere.lock")


def a_link_to_nothing(application: Application) -> None:
    missing(application)
    application.lock_path.symlink_to("../elsewhere.lock")


def a_folder(application: Application) -> None:
    missing(application)
    application.lock_path.mkdir()


def a_fifo(application: Application) -> None:
    lock(VALID)(application)
    application.lock_path.rename(application.folder / "valid.lock")
    os.mkfifo(application.lock_path)


def upper_case(application: Application) -> None:
    digest = with_the_payload(application).upper()
    application.lock_path.write_text(f'{{"alpha": "{digest}"}}')


def malformed(says: str) -> Refused:
    return Refused("lock_file_malformed", plugin="<lockfile>", says=says)


def bad_lock(name: str, does: str, text: str | bytes, says: str) -> Attack:
    return Attack(f"lock/{name}", does, malformed(says), prepare=lock(text))


VALID = '{"alpha": "DIGEST"}'


# --- manifests ----------------------------------------------------------------------------------

LOAD = "load()"


def manifest(text: str | bytes) -> Callable[[Application], None]:
    """Prepare a locked plugin with this manifest, and the payload."""

    def prepare(application: Application) -> None:
        application.write("alpha/plugin.yaml", text)
        application.write("alpha/api.py", PAYLOAD)
        application.lock()

    return prepare


def tagged(text: str) -> Callable[[Application], None]:
    """Prepare a locked plugin whose code is harmless, and whose manifest leads to the payload."""

    def prepare(application: Application) -> None:
        (application.folder / "evil.py").write_text(PAYLOAD)
        application.write("alpha/plugin.yaml", GOOD + text)
        application.lock()

    return prepare


def without_a_manifest(application: Application) -> None:
    application.write("alpha/api.py", PAYLOAD)
    (application.plugin / "plugin.yaml").unlink()
    application.lock()


def linked_manifest(application: Application) -> None:
    application.write("alpha/api.py", PAYLOAD)
    (application.plugin / "plugin.yaml").rename(application.folder / "plugin.yaml")
    (application.plugin / "plugin.yaml").symlink_to("../../plugin.yaml")
    application.lock()


def rejected(says: str, kind: str = "schema_violation", at: str = "") -> Refused:
    return Refused(kind, says=says, at=at, raised="LoadRejected")


def bad_manifest(name: str, does: str, text: str | bytes, says: str) -> Attack:
    return Attack(f"lock/manifest-{name}", does, rejected(says), LOAD, manifest(text))


GOOD = MANIFEST.format(name="alpha")
BOMB = (
    GOOD
    + "contributes:\n  - &a0 [x, x]\n"
    + "".join(f"  - &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
)


# --- the sidecar --------------------------------------------------------------------------------


def forged_sidecar(application: Application) -> None:
    """Digests of the changed files: they do not reproduce the locked digest, so the guard ignores
    them."""
    application.write("alpha/helper.py", EVIL)
    application.write_sidecar()


def sidecar_that_is_huge(application: Application) -> None:
    """As large as one that is read, and nearly as many lines as bytes."""
    application.write("alpha/helper.py", EVIL)
    (application.root / "PLUGINS.sha256").write_bytes(b"\n" * (60 * 1024 * 1024))


def sidecar_that_blocks(application: Application) -> None:
    application.write("alpha/helper.py", EVIL)
    os.mkfifo(application.root / "PLUGINS.sha256")


ATTACKS = (
    Attack("lock/missing", "There is no lock.", malformed("no folder"), prepare=missing),
    Attack(
        "lock/missing-where-pinned",
        "There is no lock in the folder that was pinned.",
        malformed("does not exist"),
        prepare=missing,
        settings={"root": "plugins"},
    ),
    Attack(
        "lock/link", "It is a link to a valid lock.", malformed("symbolic link"), prepare=a_link
    ),
    Attack(
        "lock/link-to-nothing",
        "It is a dangling link.",
        malformed("symbolic link"),
        prepare=a_link_to_nothing,
    ),
    Attack("lock/folder", "It is a folder.", malformed("is a folder"), prepare=a_folder),
    Attack(
        "lock/fifo",
        "It is a FIFO, and an attacker writes a valid lock to it.",
        malformed("is a FIFO"),
        """
        import contextlib, pathlib, threading
        def feed():
            # A report of a reader that left would abort an interpreter that is ending.
            with contextlib.suppress(BrokenPipeError):
                with open('plugins/PLUGINS.lock', 'w') as file:
                    file.write(pathlib.Path('valid.lock').read_text())
        threading.Thread(target=feed, daemon=True).start()
        import plugins.alpha.api
        """,
        a_fifo,
    ),
    bad_lock("empty", "It is empty.", "", "is not JSON"),
    bad_lock(
        "oversize",
        "A valid lock, and blanks up to 64 KiB and one byte.",
        VALID + " " * MAX_LOCK,
        "larger than 65536 bytes",
    ),
    bad_lock(
        "duplicate-key",
        "A key stands twice: a reviewer reads one, the machine the other.",
        f'{{"alpha": "{SPARE}", "alpha": "DIGEST"}}',
        "'alpha' twice",
    ),
    bad_lock(
        "duplicate-key-escaped",
        "The same, and one of them is spelled with an escape.",
        f'{{"\\u0061lpha": "{SPARE}", "alpha": "DIGEST"}}',
        "'alpha' twice",
    ),
    bad_lock(
        "byte-order-mark",
        "It starts with a BOM.",
        b"\xef\xbb\xbf" + VALID.encode(),
        "byte order mark",
    ),
    Attack(
        "lock/utf-16",
        "It is UTF-16, which JSON parsers detect.",
        malformed("not UTF-8"),
        prepare=encoded("utf-16"),
    ),
    Attack(
        "lock/utf-32", "It is UTF-32 without a BOM.", malformed(""), prepare=encoded("utf-32-le")
    ),
    bad_lock(
        "latin-1",
        "It holds a byte that is not UTF-8.",
        b'{"alpha": "DIGEST", "b\xe9ta": "DIGEST"}',
        "not UTF-8",
    ),
    bad_lock(
        "surrogate",
        "A key holds half a character.",
        f'{{"alpha": "DIGEST", "\\ud800": "{SPARE}"}}',
        "id",
    ),
    bad_lock("trailing-data", "A second object follows.", VALID + " {}", "Extra data"),
    bad_lock("trailing-zeros", "Zero bytes follow.", VALID + "\0\0", "Extra data"),
    bad_lock("trailing-comma", "A comma too many.", '{"alpha": "DIGEST",}', "is not JSON"),
    bad_lock("comment", "It holds a comment.", "// reviewed\n" + VALID, "is not JSON"),
    bad_lock("single-quotes", "It is Python, not JSON.", "{'alpha': 'DIGEST'}", "is not JSON"),
    bad_lock("not-a-number", "It holds NaN.", '{"alpha": "DIGEST", "beta": NaN}', "NaN"),
    bad_lock("list", "It is a list of pairs.", '[["alpha", "DIGEST"]]', "one JSON object"),
    bad_lock("text", "It is a text.", '"alpha DIGEST"', "one JSON object"),
    bad_lock("null", "It is null.", "null", "one JSON object"),
    bad_lock("value-a-list", "A digest is a list of digests.", '{"alpha": ["DIGEST"]}', "digest"),
    bad_lock(
        "value-an-object",
        "A digest is an object, as other formats have it.",
        '{"alpha": {"sha256": "DIGEST"}}',
        "digest",
    ),
    bad_lock(
        "value-null", "A plugin without a digest.", '{"alpha": "DIGEST", "beta": null}', "digest"
    ),
    bad_lock("value-a-number", "A digest is a number.", '{"alpha": "DIGEST", "beta": 0}', "digest"),
    Attack(
        "lock/digest-in-capitals",
        "The digest is in capitals.",
        malformed("digest"),
        prepare=upper_case,
    ),
    bad_lock(
        "digest-with-a-prefix",
        "The digest names its algorithm.",
        '{"alpha": "sha256:DIGEST"}',
        "digest",
    ),
    bad_lock(
        "digest-with-a-line-feed",
        "A line feed follows the digest.",
        '{"alpha": "DIGEST\\n"}',
        "digest",
    ),
    bad_lock("digest-empty", "A digest is empty.", '{"alpha": "DIGEST", "beta": ""}', "digest"),
    bad_lock(
        "ids-that-fold-alike",
        "Two ids differ by case only.",
        f'{{"alpha": "DIGEST", "Alpha": "{SPARE}"}}',
        "are one name on file systems that fold case",
    ),
    bad_lock(
        "id-a-path",
        "An id leads out of the folder.",
        f'{{"alpha": "DIGEST", "../evil": "{SPARE}"}}',
        "id",
    ),
    bad_lock("id-with-a-line-feed", "A line feed follows an id.", '{"alpha\\n": "DIGEST"}', "id"),
    bad_lock(
        "id-too-long",
        "An id has 256 bytes.",
        f'{{"alpha": "DIGEST", "{"a" * 256}": "{SPARE}"}}',
        "id",
    ),
    bad_lock("id-empty", "An id is empty.", f'{{"alpha": "DIGEST", "": "{SPARE}"}}', "id"),
    bad_lock(
        "too-deep",
        "It is nested three deep.",
        '{"alpha": "DIGEST", "beta": [[]]}',
        "nested more than 2 deep",
    ),
    bad_lock(
        "30000-deep",
        "It is nested as deep as 64 KiB allow.",
        '{"alpha": "DIGEST", "beta": ' + "[" * 30_000 + "]" * 30_000 + "}",
        "nested more than 2 deep",
    ),
    bad_lock(
        "100000-deep",
        "It is nested 100,000 deep.",
        '{"alpha": "DIGEST", "beta": ' + "[" * 100_000 + "]" * 100_000 + "}",
        "larger than 65536 bytes",
    ),
    Attack(
        "lock/forged-sidecar",
        "PLUGINS.sha256 has the digests of the changed files.",
        Refused("integrity_mismatch"),
        prepare=forged_sidecar,
    ),
    Attack(
        "lock/sidecar-fifo",
        "PLUGINS.sha256 is a FIFO.",
        Refused("integrity_mismatch"),
        prepare=sidecar_that_blocks,
    ),
    Attack(
        "lock/huge-sidecar",
        "PLUGINS.sha256 is 60 MiB of line ends.",
        Refused("integrity_mismatch"),
        prepare=sidecar_that_is_huge,
    ),
    Attack(
        "lock/manifest-missing",
        "A locked plugin has no manifest.",
        rejected("", "missing_manifest"),
        LOAD,
        without_a_manifest,
    ),
    Attack(
        "lock/manifest-link",
        "The manifest is a link.",
        rejected("", "symlink_escape", at="plugins/alpha/plugin.yaml"),
        LOAD,
        linked_manifest,
    ),
    Attack(
        "lock/manifest-tag-calls",
        "A YAML tag calls a function.",
        rejected("tag"),
        LOAD,
        tagged("requirements: !!python/object/apply:runpy.run_path [evil.py]\n"),
    ),
    Attack(
        "lock/manifest-tag-makes",
        "A YAML tag makes an object by a class of the application.",
        rejected("tag"),
        LOAD,
        tagged("requirements: !!python/object/new:evil.Evil {}\n"),
    ),
    Attack(
        "lock/manifest-tag-imports",
        "A YAML tag imports a module.",
        rejected("tag"),
        LOAD,
        tagged("requirements: !!python/name:evil.nothing\n"),
    ),
    bad_manifest(
        "line-separator",
        "A field is shown as a comment, behind a line end of YAML 1.1.",
        GOOD + "# reviewed\u2028precedence: 1\n",
        "holds U+2028 (line 7), which ends a line for some readers only",
    ),
    bad_manifest(
        "octal",
        "A number that readers of YAML 1.1 and 1.2 differ about.",
        GOOD + "precedence: 012\n",
        "holds '012' (line 7), which YAML 1.1 and YAML 1.2 read as different values",
    ),
    bad_manifest("bomb", "Aliases that grow to 2^40 items.", BOMB, "alias"),
    bad_manifest("deep", "It is nested 100,000 deep.", GOOD + "contributes: " + "[" * 100_000, ""),
    bad_manifest(
        "oversize",
        "It is larger than any manifest.",
        GOOD + "# " + "x" * MAX_MANIFEST,
        "larger than 65536 bytes",
    ),
    bad_manifest("duplicate-key", "A key stands twice.", GOOD + 'version: "2.0"\n', "twice"),
    bad_manifest(
        "of-another", "It is the manifest of another plugin.", MANIFEST.format(name="beta"), "name"
    ),
    bad_manifest(
        "unknown-key",
        "It has an unknown key.",
        GOOD + "entry_point: evil\n",
        "entry_point",
    ),
    bad_manifest("list", "It is a list.", "- alpha\n", ""),
    bad_manifest("two-documents", "A second document follows.", GOOD + "---\nname: alpha\n", ""),
    bad_manifest("not-utf-8", "It is UTF-16.", GOOD.encode("utf-16"), "not UTF-8"),
    bad_manifest(
        "not-a-scope",
        "Its scope is a number.",
        GOOD.replace("task_class: demo", "task_class: 1"),
        "task_class",
    ),
)
