"""The inputs of the vectors, and what is expected of each.

    python -m tests.vectors.generate FOLDER

writes the JSON files to FOLDER. Rejections are written down here by hand, after the contract.
Digests come from ``find``, ``sort`` and ``sha256sum``, over the tree really made on the disk: this
module uses nothing of the project. Its pipeline is the published one without the limit that it has
(see README.md): NUL separates the names, and ``./`` precedes them until they are hashed.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.vectors.disk import Case, build

PIPELINE = r"""
set -o pipefail
cd "$1" && find . -type f ! -path '*/__pycache__/*' ! -path '*/.git/*' \
    ! -name .git ! -name '*.pyc' -printf './%P\0' \
  | LC_ALL=C sort -z | xargs -0 -r sha256sum | LC_ALL=C sed 's|  \./|  |' \
  | tee /dev/stderr | sha256sum
"""

MANIFEST = """\
name: alpha
version: "1.0"
scope:
  task_class: demo
  languages: "*"
  build_systems: "*"
"""


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def digests(case: Case) -> tuple[dict[str, str], str]:
    """Return the digest of every file, and that of the tree."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "alpha")
        build(case, folder)
        done = subprocess.run(
            ["bash", "-c", PIPELINE, "bash", str(folder)], capture_output=True, check=True
        )
    files = {}
    for line in done.stderr.decode().split("\n")[:-1]:
        digest, _, path = line.partition("  ")
        files[path] = digest
    return files, done.stdout.decode().split()[0]


# --- trees ----------------------------------------------------------------------------------------


def tree(
    name: str, why: str, files: Iterable[str] | Mapping[str, str | bytes], **more: Any
) -> Case:
    """Return a tree that has a digest. Files that are only named hold their own name."""
    if not isinstance(files, Mapping):
        files = {path: path for path in files}
    case: Case = {"name": name, "why": why, "files": {p: b64(d) for p, d in files.items()}, **more}
    case["file_digests"], case["tree_digest"] = digests(case)
    case["rejection"] = None
    return case


def refused(name: str, why: str, kind: str, path: str | bytes, **more: Any) -> Case:
    """Return a tree that has none, for the entry at ``path``: beside it, everything is in order."""
    where = {"path": path} if isinstance(path, str) else {"path_base64": b64(path)}
    files = {"api.py": b64("VALUE = 1\n"), **more.pop("files", {})}
    rejection = {"kind": kind, **where}
    return {"name": name, "why": why, "files": files, **more} | {
        "file_digests": {},
        "tree_digest": None,
        "rejection": rejection,
    }


def link(name: str, path: str, target: str, why: str) -> Case:
    return refused(name, why, "symlink_escape", path, special={path: {"symlink": target}})


def unhashable(name: str, path: str, why: str, **more: Any) -> Case:
    return refused(name, why, "unhashable_tree", path, **more)


def named(name: str, path: str, why: str) -> Case:
    return unhashable(name, path, why, files={path: b64("x")})


def named_by_bytes(name: str, path: bytes, offending: bytes, why: str) -> Case:
    raw = [{"path": b64(path), "content": b64("x")}]
    return refused(name, why, "unhashable_tree", offending, raw=raw)


def colliding(name: str, one: str, other: str, why: str) -> Case:
    """Return a case whose refused entry is the later one in the order of bytes."""
    files = {one: b64("1"), other: b64("2")}
    at = max(one, other, key=str.encode).partition("/")[0]
    return unhashable(name, at, why, files=files)


SHELL_READS_STANDARD_INPUT = "sha256sum takes the name '-' for the standard input"


def trees() -> list[Case]:
    deep = "d/" * 127
    return [
        tree("one-file", "The smallest tree that has a line.", {"plugin.yaml": MANIFEST}),
        tree(
            "an-ordinary-plugin",
            "What a plugin looks like.",
            {
                "plugin.yaml": MANIFEST,
                "api.py": "from . import helper\n",
                "helper.py": "VALUE = 42\n",
                "data/table.csv": "a,b\n1,2\n",
                "package/__init__.py": "",
                "package/module.py": "x = 1\n",
            },
        ),
        tree("no-files", "The digest of no lines.", {}),
        tree(
            "only-bytecode",
            "Everything is left out, so it is the digest of no lines as well.",
            ["__pycache__/api.cpython-311.pyc", "api.pyc"],
        ),
        tree("an-empty-file", "A file without bytes has a line.", {"plugin.yaml": ""}),
        tree(
            "several-empty-files", "Equal contents, different lines.", {"a": "", "b": "", "c/d": ""}
        ),
        tree(
            "empty-folders",
            "Folders have no line, whatever is or is not in them.",
            {"a/x": "1"},
            special={"empty": {"folder": True}, "a/empty/below": {"folder": True}},
        ),
        tree(
            "nested", "Equal names at several levels.", ["a.py", "b/a.py", "b/c/a.py", "b/c/d/e/a"]
        ),
        tree("one-line-feed", "Not the same as an empty file.", {"x": "\n"}),
        tree("no-line-feed-at-the-end", "Nothing is put there.", {"x": "a"}),
        tree("lf", "Compare with crlf and cr.", {"x.py": "a = 1\nb = 2\n"}),
        tree("crlf", "Line ends are bytes as any others.", {"x.py": "a = 1\r\nb = 2\r\n"}),
        tree("cr", "Line ends are bytes as any others.", {"x.py": "a = 1\rb = 2\r"}),
        tree("byte-order-mark", "It is part of the file.", {"x.py": b"\xef\xbb\xbfa = 1\n"}),
        tree("every-byte", "Bytes are bytes.", {"x": bytes(range(256)), "y": bytes(300)}),
        tree(
            "content-that-looks-like-a-line",
            "Only the hash of it counts.",
            {"x": f"{'0' * 64}  y\n"},
        ),
        tree(
            "large",
            "Half a mebibyte and one byte: more than is read at once.",
            {"x": "1"},
            large={"x.bin": {"base64": b64(b"\0"), "times": 512 * 1024 + 1}},
        ),
        tree(
            "large-beside-small",
            "Lines stay in order, whatever is hashed first. Three mebibytes.",
            ["a", "c"],
            large={
                "b.bin": {"base64": b64(bytes(range(256))), "times": 8192},
                "d.bin": {"base64": b64("0123456789abcdef"), "times": 65536},
            },
        ),
        tree(
            "order-of-a-folder-among-files",
            "By the bytes of the whole path: '-' and '.' are less than '/', '0' is more.",
            ["a-b", "a.b", "a/b", "a0b", "a=", "a b", "aa"],
        ),
        tree(
            "order-of-a-folder-among-folders",
            "A folder's files do not stay together if the order is that of whole paths.",
            ["a/z", "a-/a", "a./a", "a0/a", "a/a"],
        ),
        tree(
            "order-of-case",
            "Capitals come first, and '_' between.",
            ["a", "B", "_", "C/a", "c-"],
        ),
        tree("order-of-numbers", "As text: 10 before 9.", ["9", "10", "1", "01", "1.5"]),
        tree(
            "order-of-accents", "No locale has a say: é comes after z.", ["z", "é", "e", "ä/x", "f"]
        ),
        tree(
            "order-beyond-the-basic-plane",
            "U+FFEE before U+10000, as in UTF-8; the code units of UTF-16 say the opposite.",
            ["\uffee", "\U00010000", "\U0001f600", "\ue000", "z"],
        ),
        tree(
            "unicode-names", "Names are UTF-8.", ["ü/ß.py", "日本/語.txt", "имя", "\U0001f600.md"]
        ),
        tree(
            "decomposed", "A name is not normalised: e and a combining accent.", ["cafe\u0301.py"]
        ),
        tree("composed", "One character: another name, another digest.", ["caf\u00e9.py"]),
        tree(
            "invisible",
            "Spaces and joiners that no eye sees.",
            ["a\u00a0b", "a\u200bb", "a\u2028b"],
        ),
        tree(
            "spaces",
            "At every place, and two of them.",
            [" a", "b ", "c d", "e  f", "g /h", " "],
        ),
        tree(
            "quotes",
            "What a shell would read.",
            ["'", '"', "$(x)", "`x`", "*", "?", "#", "~", "&;|", "%s"],
        ),
        tree(
            "percent-and-colon",
            "What other systems would read.",
            ["a:b", "%2e%2e", "<x>", "con", "x|y"],
        ),
        tree(
            "dash-first",
            "A file at the top whose name begins with '-'.",
            ["-rf", "api.py"],
        ),
        tree(
            "dashes-only",
            "Names that programs take for options, and for standard input.",
            ["-", "--", "--help"],
            not_by_shell=SHELL_READS_STANDARD_INPUT,
        ),
        tree("dash-below", "Below a folder they are harmless.", ["a/-rf", "a/-", "a/--help"]),
        tree(
            "hidden",
            "Files and folders that begin with a dot count.",
            [".hidden", ".config/git", "a/.b", ".gitignore", ".github/x"],
        ),
        tree("dots", "Names of dots that are no '.' or '..'.", ["...", "a..b", "..a/x", "x."]),
        tree(
            "git-is-left-out",
            "A folder .git with all that is in it, and the file of a submodule, at every level.",
            ["api.py", ".git/hooks/post.py", ".git/index", "sub/.git", "sub/x.git", "x/.GIT/x"],
        ),
        tree(
            "bytecode-is-left-out",
            "Folders __pycache__ with all that is in them, and *.pyc, at every level.",
            [
                "api.py",
                "api.pyc",
                ".pyc",
                "sub/.pyc",
                "sub/old.pyc",
                "__pycache__/api.cpython-311.pyc",
                "__pycache__/api.py",
                "__pycache__/deep/below/x.so",
                "sub/__pycache__/data.txt",
            ],
        ),
        tree(
            "not-bytecode",
            "What only looks like it counts.",
            [
                "x.pyc.py",
                "x.pyo",
                "x.PYC",
                "pyc",
                "xpyc",
                "x.pyc ",
                "PYCACHE",
                "_pycache_/a",
                "__pycache__x/a",
                "x__pycache__/a",
                "sub/__PYCACHE__/a",
            ],
        ),
        tree(
            "a-folder-named-like-bytecode",
            "Only files end in .pyc.",
            ["x.pyc/a.py", "x.pyc/b.pyc", "y/.pyc/c"],
        ),
        tree(
            "a-file-named-like-the-cache",
            "Only a folder is __pycache__.",
            ["__pycache__", "sub/__pycache__", "a"],
        ),
        tree(
            "anything-in-a-cache",
            "Nobody looks into __pycache__: links, FIFOs and odd names there change nothing.",
            {"a.py": "1", "__pycache__/a\x01b": "2", "__pycache__/c\\d": "3"},
            special={
                "__pycache__/link": {"symlink": ".."},
                "__pycache__/fifo": {"fifo": True},
            },
        ),
        tree(
            "longest-name",
            "255 bytes, which is all that file systems hold.",
            ["n" * 252 + ".py", "é" * 127],
        ),
        tree("deepest", "128 folders below the plugin's own.", ["d/" + deep + "x"]),
        tree(
            "equal-names-in-two-folders",
            "Case decides only within a folder.",
            ["a/X", "b/x", "A.d/x"],
        ),
        tree(
            "nearly-equal-names",
            "No folding makes these equal.",
            ["\u0131", "i", "\u00e9", "e", "\u2460", "1"],
        ),
        link("link-to-a-file", "link.py", "api.py", "Even to a file that is part of the tree."),
        link(
            "link-to-a-file-outside", "link.py", "/etc/hostname", "What it leads to is not pinned."
        ),
        link("link-to-a-folder", "link", "..", "Nothing is walked into."),
        link("link-to-nothing", "link.py", "nowhere", "It may lead somewhere later."),
        link("link-to-itself", "link", "link", "Nothing is opened."),
        link("link-below", "sub/deep/link.py", "../../api.py", "At every level."),
        link("link-named-like-bytecode", "link.pyc", "api.py", "Left out is only what is a file."),
        link("link-named-like-the-cache", "__pycache__", ".", "Left out is only what is a folder."),
        link("link-in-the-place-of-the-plugin", "", ".", "The plugin's own folder, too."),
        unhashable(
            "a-fifo-in-the-place-of-the-plugin",
            "",
            "A unit is a folder or a file.",
            special={"": {"fifo": True}},
        ),
        link("link-named-like-git", ".git", "elsewhere", "Left out are folders and files."),
        unhashable(
            "fifo", "pipe", "Opening it would wait for ever.", special={"pipe": {"fifo": True}}
        ),
        unhashable("fifo-below", "a/b.py", "At every level.", special={"a/b.py": {"fifo": True}}),
        unhashable(
            "fifo-named-like-bytecode", "x.pyc", "It is no file.", special={"x.pyc": {"fifo": True}}
        ),
        unhashable("socket", "socket", "It has no bytes.", special={"socket": {"socket": True}}),
        unhashable(
            "unreadable",
            "secret.py",
            "Nobody may read it. The superuser may, so this one is for other users.",
            special={"secret.py": {"unreadable": b64("x")}},
        ),
        named("line-feed-in-a-name", "a\nb", "One file would be two lines."),
        named("line-feed-below", "sub/a\n", "At every level."),
        named("carriage-return-in-a-name", "a\rb", "A control character."),
        named("tab-in-a-name", "a\tb", "A control character."),
        named("escape-in-a-name", "a\x1b[31m", "What a terminal would obey."),
        named("delete-in-a-name", "a\x7f", "A control character."),
        named("c1-in-a-name", "a\u0085b", "A control character beyond ASCII: U+0085."),
        named("backslash-in-a-name", "a\\b", "sha256sum writes such lines another way."),
        unhashable(
            "control-character-in-a-folder",
            "a\x01",
            "The folder is named, not the file.",
            files={"a\x01/x": b64("x")},
        ),
        named_by_bytes("latin-1-name", b"caf\xe9.py", b"caf\xe9.py", "Not UTF-8."),
        named_by_bytes("surrogate-in-a-name", b"\xed\xb3\xbf", b"\xed\xb3\xbf", "Not UTF-8."),
        named_by_bytes(
            "overlong-name", b"sub/\xc0\xaf", b"sub/\xc0\xaf", "Not UTF-8: '/' in two bytes."
        ),
        named_by_bytes("latin-1-folder", b"caf\xe9/x.py", b"caf\xe9", "Not UTF-8."),
        colliding("case-collision", "README", "readme", "One file on systems that fold case."),
        colliding(
            "normalisation-collision",
            "\u00e9.py",
            "e\u0301.py",
            "One file where names are composed.",
        ),
        colliding("both-collide", "\u00c9.py", "e\u0301.py", "Folding and composing together."),
        colliding("sharp-s-collision", "stra\u00dfe", "STRASSE", "Folding may make a name longer."),
        colliding(
            "sigma-collision", "\u03c3", "\u03c2", "Two lower-case letters with one capital."
        ),
        colliding("kelvin-collision", "\u212a", "k", "A sign that folds to a letter."),
        colliding("file-and-folder-collision", "Data", "data/x", "A file and a folder."),
        colliding("folder-collision", "Data/x", "data/y", "Two folders with different files."),
        colliding(
            "cache-collision", "__pycache__/x", "__PYCACHE__", "What is left out has a name, too."
        ),
        unhashable(
            "too-deep",
            "d/" + deep + "d",
            "129 folders below the plugin's own.",
            files={"d/" + deep + "d/x": b64("x")},
        ),
    ]


# --- locks ----------------------------------------------------------------------------------------

ONE, TWO = "1" * 64, "abcdef0123456789" * 4
MAX_LOCK = 64 * 1024


def lock(
    name: str, why: str, content: str | bytes, entries: Mapping[str, str] | None, *, spaces: int = 0
) -> Case:
    """``spaces``: how many stand after ``content``."""
    described: str | list[Any] = b64(content)
    if spaces:
        described = [described, {"base64": b64(" "), "times": spaces}]
    case: Case = {"name": name, "why": why, "content": described, "entries": entries}
    if entries is not None and content == written(entries):
        case["as_written"] = True
    return case


def malformed(name: str, why: str, content: str | bytes, *, spaces: int = 0) -> Case:
    return lock(name, why, content, None, spaces=spaces)


def no_file(name: str, why: str, special: Mapping[str, Any] | None) -> Case:
    return {"name": name, "why": why, "special": special, "entries": None}


def written(entries: Mapping[str, str]) -> str:
    return json.dumps(entries, indent=2, sort_keys=True) + "\n"


NAMES = [
    *("SuperSay", "ha-hacs.v2", "tool.py", "__init__.py", "_fast.cpython-313-x86_64-linux-gnu.so"),
    *("1alpha", "a b", "a \"b\" 'c'", "\u0430lpha", "gr\u00f6\u00dfe", "\U0001f600", "..."),
    *("plugins.py", "PLUGINS", "__pycache__x", ".gitignore", "a\u00a0"),
]
NO_NAMES = [
    (".", "It is the plugin folder."),
    ("..", "It is the folder above."),
    ("__pycache__", "It is left out."),
    (".git", "It is left out."),
    ("PLUGINS.lock", "It is the lock."),
    ("PLUGINS.x", "Such names are the guard's own."),
    (" a", "A space at its end cannot be seen."),
    ("a ", "A space at its end cannot be seen."),
    ("a\\b", "It would be another folder on some systems."),
    ("a\x7f", "A control character."),
    ("a\u0085", "A control character beyond ASCII."),
    ("\ud800", "Not a character."),
    ("\u00e9" * 128, "256 bytes."),
]


def locks() -> list[Case]:
    one = {"alpha": ONE}
    line = f'{{"alpha": "{ONE}"}}'
    long_id = "a" * 255
    every_character = "a-z_0123456789"
    return [
        lock("empty", "No plugins.", "{}\n", {}),
        lock("one", "As it is written.", written(one), one),
        lock(
            "several",
            "As it is written: sorted by the bytes of the ids.",
            written({"b": ONE, "a-b": TWO, "a_b": ONE, "a0": TWO, "a": ONE}),
            {"a": ONE, "a-b": TWO, "a0": TWO, "a_b": ONE, "b": ONE},
        ),
        lock(
            "not-sorted",
            "The order of reading does not matter.",
            f'{{"b":"{ONE}","a":"{TWO}"}}',
            {"a": TWO, "b": ONE},
        ),
        lock("no-line-feed-at-the-end", "It is JSON.", line, one),
        lock(
            "white-space",
            "All four kinds that JSON has.",
            f' \t\r\n{{ "alpha"\n:\t"{ONE}" }}\r\n ',
            one,
        ),
        lock("escaped", "It is JSON: \\u0061 is a.", f'{{"\\u0061lpha": "{ONE}"}}', one),
        lock("longest-id", "255 bytes.", written({long_id: ONE}), {long_id: ONE}),
        lock(
            "every-character",
            "All that an id may hold.",
            written({every_character: TWO}),
            {every_character: TWO},
        ),
        lock("largest", "64 KiB, most of it white space.", line, one, spaces=MAX_LOCK - len(line)),
        malformed("oversize", "One byte more.", line, spaces=MAX_LOCK - len(line) + 1),
        malformed("no-bytes", "An empty file.", ""),
        malformed("white-space-only", "No document.", " \n"),
        malformed("byte-order-mark", "Not a part of JSON.", b"\xef\xbb\xbf" + line.encode()),
        malformed("utf-16", "Only UTF-8.", line.encode("utf-16")),
        malformed("latin-1", "Not UTF-8.", b'{"caf\xe9": "' + ONE.encode() + b'"}'),
        malformed(
            "duplicate",
            "A reviewer may read the one, a parser take the other.",
            f'{{"alpha": "{ONE}", "alpha": "{TWO}"}}',
        ),
        malformed(
            "duplicate-of-equals", "Also with one value.", f'{{"alpha": "{ONE}", "alpha": "{ONE}"}}'
        ),
        malformed(
            "duplicate-by-an-escape",
            "Equal once they are read.",
            f'{{"alpha": "{ONE}", "\\u0061lpha": "{TWO}"}}',
        ),
        malformed("a-list", "Not an object.", f'["alpha", "{ONE}"]'),
        malformed("a-string", "Not an object.", f'"{ONE}"'),
        malformed("null", "Not an object.", "null"),
        malformed("number-as-digest", "Not a string.", '{"alpha": 1}'),
        malformed("null-as-digest", "Not a string.", '{"alpha": null}'),
        malformed("list-as-digest", "Not a string.", f'{{"alpha": ["{ONE}"]}}'),
        malformed(
            "object-as-digest",
            "Two levels may be read, and mean nothing.",
            f'{{"alpha": {{"sha256": "{ONE}"}}}}',
        ),
        malformed("three-levels", "Deeper than any lock.", '{"alpha": {"a": {}}}'),
        malformed("deep", "A parser that recurses would run out of stack.", "[" * 5000),
        malformed("capitals-in-a-digest", "One way to write it.", f'{{"alpha": "{TWO.upper()}"}}'),
        malformed("short-digest", "63 digits.", f'{{"alpha": "{ONE[1:]}"}}'),
        malformed("long-digest", "65 digits.", f'{{"alpha": "{ONE}1"}}'),
        malformed("line-feed-after-a-digest", "Not a digit.", f'{{"alpha": "{ONE}\\n"}}'),
        malformed("digest-with-a-prefix", "Only the digits.", f'{{"alpha": "sha256:{ONE}"}}'),
        malformed("digits-of-another-script", "Only ASCII.", json.dumps({"alpha": "\u0661" * 64})),
        malformed("empty-id", "At least one byte.", f'{{"": "{ONE}"}}'),
        lock(
            "names-as-they-are",
            "Of folders and of files, as on the disk. Characters beyond ASCII are escaped.",
            written(dict.fromkeys(NAMES, ONE)),
            dict.fromkeys(sorted(NAMES), ONE),
        ),
        lock(
            "not-escaped",
            "It is UTF-8.",
            f'{{"gr\u00f6\u00dfe": "{ONE}"}}',
            {"gr\u00f6\u00dfe": ONE},
        ),
        malformed(
            "ids-that-differ-by-case",
            "They are one name on some file systems.",
            written({"Alpha": ONE, "alpha": ONE}),
        ),
        malformed(
            "ids-that-differ-by-composition",
            "They are one name on some file systems.",
            written({"\u00e9": ONE, "e\u0301": ONE}),
        ),
        *(
            malformed(f"id-{number}", why, written({name: ONE}))
            for number, (name, why) in enumerate(NO_NAMES)
        ),
        malformed("slash-in-an-id", "It would be another folder.", f'{{"../alpha": "{ONE}"}}'),
        malformed("line-feed-after-an-id", "A control character.", f'{{"alpha\\n": "{ONE}"}}'),
        malformed("id-too-long", "256 bytes.", written({long_id + "a": ONE})),
        malformed("comma-at-the-end", "Not JSON.", f'{{"alpha": "{ONE}",}}'),
        malformed("single-quotes", "Not JSON.", f"{{'alpha': '{ONE}'}}"),
        malformed("comment", "Not JSON.", f"// pinned\n{line}"),
        malformed("two-documents", "Not one document.", f"{line}\n{{}}"),
        malformed("nul-at-the-end", "Not white space.", f"{line}\0"),
        malformed("no-break-space", "Not the white space of JSON.", f"{line}\u00a0"),
        malformed(
            "control-character-in-a-string",
            "JSON has it escaped.",
            f'{{"alpha": "{ONE}", "a\tb": 1}}',
        ),
        malformed("nan", "Not JSON.", '{"alpha": NaN}'),
        malformed("cut-off", "Half of a document.", line[:40]),
        no_file("missing", "No lock.", None),
        no_file("link", "A lock is a file of its own.", {"symlink": "other.lock"}),
        no_file("link-to-nothing", "A lock is a file of its own.", {"symlink": "nowhere"}),
        no_file("fifo", "Opening it would wait for ever.", {"fifo": True}),
        no_file("folder", "Not a file.", {"folder": True}),
    ]


# --- sidecars -------------------------------------------------------------------------------------


def sidecars() -> list[Case]:
    locked = {"files": {"api.py": b64("1"), "a  b.py": b64("2"), "sub/ü.py": b64("3")}}
    changed = {"files": {"api.py": b64("CHANGED"), "new.py": b64("4"), "sub/ü.py": b64("3")}}
    then, expected = digests(locked)
    now, _ = digests(changed)
    file, expected_of_file = digests({"files": {"tool.py": b64("1")}})
    lines = [f"{digest}  alpha/{path}\n" for path, digest in then.items()]
    good = "".join(lines)
    nothing: dict[str, list[str]] = {"changed": [], "added": [], "removed": []}
    differences = {"changed": ["api.py"], "added": ["new.py"], "removed": ["a  b.py"]}

    def sidecar(name: str, why: str, content: str | bytes, **more: Any) -> Case:
        return {
            "name": name,
            "why": why,
            "plugin": "alpha",
            "locked": expected,
            "content": b64(content),
            "found": now,
            "differences": differences,
        } | more

    def not_believed(name: str, why: str, content: str | bytes, **more: Any) -> Case:
        return sidecar(name, why, content, differences=None, **more)

    other = f"{ONE}  beta/api.py\n"
    return [
        sidecar("as-it-was-locked", "Nothing differs.", good, found=then, differences=nothing),
        sidecar("changed", "One changed, one appeared, one vanished.", good),
        sidecar(
            "another-order", "The lines are sorted before they are hashed.", "".join(lines[::-1])
        ),
        sidecar("no-line-feed-at-the-end", "The last line counts.", good[:-1]),
        sidecar("of-several-plugins", "Sections stand for themselves.", other + good + other),
        sidecar("another-section-is-damaged", "It is not ours.", f"garbage\nxyz  beta/a\n{good}"),
        sidecar(
            "a-plugin-whose-name-begins-alike",
            "alpha2 is not alpha.",
            good + f"{ONE}  alpha2/api.py\n",
        ),
        sidecar(
            "a-single-file",
            "Its line has no path, and its tree names the file like the unit.",
            f"{file['tool.py']}  tool.py\n{other}",
            plugin="tool.py",
            locked=expected_of_file,
            found={"tool.py": ONE},
            differences={"changed": ["tool.py"], "added": [], "removed": []},
        ),
        not_believed("a-file-and-a-folder", "Both lines count.", good + f"{ONE}  alpha\n"),
        not_believed("empty", "It says nothing of this plugin.", ""),
        not_believed("a-line-less", "It does not give the digest in the lock.", "".join(lines[1:])),
        not_believed(
            "a-line-more",
            "It does not give the digest in the lock.",
            good + f"{ONE}  alpha/new.py\n",
        ),
        not_believed(
            "another-digest",
            "It does not give the digest in the lock.",
            good.replace(lines[0][:64], ONE),
        ),
        not_believed(
            "as-the-files-are-now",
            "Whoever changed the files may have changed it.",
            "".join(f"{d}  alpha/{p}\n" for p, d in now.items()),
        ),
        not_believed("a-file-twice", "Which one counts?", good + lines[0]),
        not_believed(
            "capitals",
            "One way to write a digest.",
            good.replace(lines[0][:64], lines[0][:64].upper()),
        ),
        not_believed(
            "one-space",
            "Not a line of this format.",
            good.replace("  alpha/api.py", " alpha/api.py"),
        ),
        not_believed(
            "binary-mark", "Not a line of this format.", good.replace("  alpha/", " *alpha/")
        ),
        not_believed(
            "crlf", "The carriage return would be part of the name.", good.replace("\n", "\r\n")
        ),
        not_believed(
            "not-utf-8",
            "No file of a locked plugin has such a name.",
            good.encode() + ONE.encode() + b"  alpha/\xff\n",
        ),
        not_believed("of-another-lock", "The lock decides.", good, locked=ONE),
    ]


# --- manifests ------------------------------------------------------------------------------------


def manifests() -> list[Case]:
    def manifest(name: str, why: str, content: str | bytes | None, rejection: str | None) -> Case:
        data = None if content is None else b64(content)
        return {
            "name": name,
            "why": why,
            "folder": "alpha",
            "content": data,
            "rejection": rejection,
        }

    def accepted(name: str, why: str, content: str) -> Case:
        return manifest(name, why, content, None)

    def violation(name: str, why: str, content: str | bytes) -> Case:
        return manifest(name, why, content, "schema_violation")

    return [
        accepted("smallest", "What is required, and nothing else.", MANIFEST),
        accepted(
            "everything",
            "Every field there is.",
            MANIFEST
            + "extends: [base-plugin]\nprecedence: 10\n"
            + "contributes: {adapters: [a], skills: {x: 1}}\n"
            + "requirements: {external_tools: git, optional: [docker, npm]}\n",
        ),
        accepted(
            "lists", "A string or a list of strings.", MANIFEST.replace("demo", "[demo, other]")
        ),
        accepted(
            "json",
            "JSON is YAML.",
            json.dumps(
                {
                    "name": "alpha",
                    "version": "1",
                    "scope": {"task_class": "d", "languages": "*", "build_systems": ["npm"]},
                }
            ),
        ),
        manifest("missing", "There is no plugin.yaml.", None, "missing_manifest"),
        violation("empty", "Nothing that is required is there.", ""),
        violation("a-list", "Not a mapping.", "- name: alpha\n"),
        violation("no-name", "It is required.", MANIFEST.replace("name: alpha\n", "")),
        violation(
            "another-name", "The folder's name is the id.", MANIFEST.replace("alpha", "beta")
        ),
        violation("bad-id", "Not the grammar of ids.", MANIFEST.replace("alpha", "a/b")),
        violation("no-version", "It is required.", MANIFEST.replace('version: "1.0"\n', "")),
        violation(
            "number-as-version", "YAML reads 1.10 as 1.1.", MANIFEST.replace('"1.0"', "1.10")
        ),
        violation("empty-version", "Not an empty string.", MANIFEST.replace('"1.0"', '""')),
        violation("no-scope", "It is required.", "name: alpha\nversion: '1'\n"),
        violation(
            "half-a-scope", "All three are required.", MANIFEST.replace("  task_class: demo\n", "")
        ),
        violation("unknown-field", "A typing error must not pass.", MANIFEST + "contribute: {}\n"),
        violation(
            "unknown-field-below",
            "A typing error must not pass.",
            MANIFEST + "contributes: {skill: x}\n",
        ),
        violation(
            "twice",
            "A reviewer may read the one, a parser take the other.",
            MANIFEST + "name: alpha\n",
        ),
        violation("not-yaml", "It cannot be read.", "name: [alpha\n"),
        violation("not-utf-8", "It cannot be read.", MANIFEST.encode() + b"# \xff\n"),
        violation(
            "python-tag",
            "Nothing is constructed.",
            MANIFEST + "contributes: {probes: !!python/object/apply:os.getcwd []}\n",
        ),
        violation("two-documents", "Not one document.", MANIFEST + "---\nname: alpha\n"),
    ]


VECTORS = {"trees": trees, "locks": locks, "sidecars": sidecars, "manifests": manifests}


def main() -> None:
    """Write every file of vectors."""
    folder = Path(sys.argv[1])
    for name, make in VECTORS.items():
        text = json.dumps({"format": 1, "cases": make()}, indent=1)
        (folder / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
