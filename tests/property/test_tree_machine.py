"""Random plugin folders under random mutations, against a plain re-computation of the contract.

The model is the plugin folder as nested dictionaries, kept beside the real one. ``survey`` restates
section 3 of the contract over it and shares no code with the project: it never looks at the disk,
and knows names as bytes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock, verification, walk
from codegenie.refusals.differences import Differences
from codegenie.refusals.record import Refusal
from codegenie.result import Ok

# --- the model ----------------------------------------------------------------------------------


class File:
    """A file's bytes. Two names of one file (a hard link) are two references to one object."""

    def __init__(self, data: bytes) -> None:
        self.data = data


@dataclass
class Folder:
    entries: dict[bytes, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A symbolic link. Its target decides only whether Python takes it for a folder."""

    to_folder: bool


class Fifo:
    pass


Node = File | Folder | Link | Fifo
Steps = tuple[bytes, ...]


def every(folder: Folder, above: Steps = ()) -> Iterator[tuple[Steps, Node]]:
    """Yield every entry below a folder, parents first."""
    for name, node in folder.entries.items():
        yield (*above, name), node
        if isinstance(node, Folder):
            yield from every(node, (*above, name))


# --- section 3, restated ------------------------------------------------------------------------


@dataclass
class Survey:
    """The files that count, and every reason to refuse the tree: ``(kind, path)``, and where."""

    files: dict[str, bytes] = field(default_factory=dict)
    defects: dict[tuple[str, str], Steps] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return digest_of({path: sha256(data) for path, data in self.files.items()})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(digests: dict[str, str]) -> str:
    lines = [(path.encode(), f"{digest}  {path}\n") for path, digest in digests.items()]
    return sha256("".join(line for _, line in sorted(lines)).encode())


def survey(folder: Folder, above: Steps = ()) -> Survey:
    """Return what section 3 says of a plugin's folder, without any ``__pycache__``."""
    found = Survey()

    def defect(kind: str, name: bytes) -> None:
        found.defects[kind, "/".join(map(shown, (*above, name)))] = (*above, name)

    for name, node in folder.entries.items():
        match node:
            case Link():
                defect("symlink_escape", name)
            case Fifo():
                defect("unhashable_tree", name)
            case Folder() if name not in (b"__pycache__", b".git"):
                below = survey(node, (*above, name))
                found.files |= below.files
                found.defects |= below.defects
            case File() if not name.endswith(b".pyc") and name != b".git":
                found.files["/".join(map(shown, (*above, name)))] = node.data
    for name in unhashable_names(folder):
        defect("unhashable_tree", name)
    return found


def survey_unit(name: bytes, node: Folder | File) -> Survey:
    """Return what section 3 says of a unit: a folder, or a single file named by itself."""
    return survey(node) if isinstance(node, Folder) else Survey({name.decode(): node.data})


def unhashable_names(folder: Folder) -> Iterator[bytes]:
    """Yield the names that no lock can hold, and those that fold to the same name."""
    folded: dict[str, list[bytes]] = {}
    for name in folder.entries:
        try:
            text = name.decode()
        except UnicodeDecodeError:
            yield name
            continue
        if "\\" in text or any(unicodedata.category(c) == "Cc" for c in text):
            yield name
        folded.setdefault(unicodedata.normalize("NFC", text).casefold(), []).append(name)
    for alike in folded.values():
        if len(alike) > 1:
            yield from alike


def shown(name: bytes) -> str:
    """Return a name as the evidence spells it: what is no text, or could forge a line, is
    escaped."""
    text = name.decode(errors="backslashreplace")
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) == "Cc" else c for c in text)


@dataclass(frozen=True)
class Verdict:
    """Return the expected verdicts of one plugin: that it passes, or one of ``refusals``.

    Those are kinds, each with the path below the plugin that it must name. ``digest`` and
    ``differences`` are the evidence of a mismatch.
    """

    refusals: frozenset[tuple[str, str]] = frozenset()
    digest: str = ""
    differences: tuple[list[str], list[str], list[str]] | None = None


def one(kind: str) -> frozenset[tuple[str, str]]:
    return frozenset({(kind, "")})


def importable(root: Folder) -> dict[str, str]:
    """Return what plain Python could import from the plugin folder itself, and as which module."""
    found = {}
    for raw, node in root.entries.items():
        name = raw.decode()
        is_folder = isinstance(node, Folder) or node == Link(to_folder=True)
        module = name if is_folder else inspect.getmodulename(name) or "."
        # Not a module; and `plugins` runs an __init__ only if it is locked.
        if "." not in module and module not in ("__pycache__", "__init__"):
            found[name] = module
    return found


def module_of(unit: str) -> str:
    return inspect.getmodulename(unit) or unit


def changes(
    before: dict[str, str], now: dict[str, bytes]
) -> tuple[list[str], list[str], list[str]]:
    """Return the files that changed, appeared and vanished, from their digests and their bytes."""
    return (
        sorted(p for p, d in before.items() if p in now and sha256(now[p]) != d),
        sorted(now.keys() - before.keys()),
        sorted(before.keys() - now.keys()),
    )


# --- what is drawn ------------------------------------------------------------------------------

PLUGINS = [b"alpha", b"beta", b"gamma"]
UNITS = [*PLUGINS, b"delta", b"gamma.py", b"beta.so", b"__init__.py", b"v1.2"]
PLAIN = [
    b"plugin.yaml",
    b"api.py",
    b"a",
    b"a.b",
    b"a-b",
    b"b",
    b"data",
    b".hidden",
    b"-n",
    b" ",
    b"$x",
]
BYTECODE = [b"__pycache__", b"api.pyc", b".pyc", b"x.pyc", b".git"]
NOT_BYTECODE = [b"__PYCACHE__", b"api.PYC", b"api.pyo", b"__pycache__x"]
# Their order by UTF-8 differs from the one by UTF-16.
WIDE = ["\uff21".encode(), "\U0001f600".encode(), "größe".encode()]
INVISIBLE = ["\u200e".encode(), "\u2028".encode(), "\xa0".encode()]  # not control characters
names = st.sampled_from([*PLAIN * 3, *BYTECODE, *NOT_BYTECODE, *WIDE, *INVISIBLE])

# Names that some file system takes for one, by case, by composition or by both; and near misses.
PAIRS = [
    *(("a", "A"), ("API.py", "api.py"), ("plugin.yaml", "Plugin.yaml"), ("a", "b"), ("x ", "x")),
    *(("\xe9", "e\u0301"), ("\xe9", "\xc9"), ("\xe9", "E\u0301"), ("\xe9", "e"), ("\xe9", "\xe8")),
    *(("\xe5", "\u212b"), ("A\u030a", "\u212b"), ("k", "\u212a"), ("\u03c9", "\u2126")),
    *(("ss", "\xdf"), ("\u1e9e", "\xdf"), ("s", "\u017f"), ("fi", "\ufb01"), ("fl", "\ufb01")),
    *(("\u03c3", "\u03c2"), ("i", "\u0131"), ("i\u0307", "\u0130"), ("I", "\u0130")),
    *(("\u0390", "\u1fd3"), ("\u1fb3", "\u03b1\u03b9"), ("\u03b1\u0345", "\u03b1\u03b9")),
    *(("\u1e96", "H\u0331"), ("\ud55c", "\u1112\u1161\u11ab"), ("\uff21", "A"), ("\xb2", "2")),
]
HOSTILE = [
    *(b"a\\b", b"\\", b"..\\x", b"t\tb", b"nl\n", b"\r", b"\x01", b"\x7f", b"\x1b[0m"),
    *("\x80".encode(), "\x85".encode(), "a\x9f".encode()),
    *(b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"),
]

root_names = st.sampled_from(
    [
        *(
            *PLUGINS,
            b"delta",
            b"gamma.py",
            b"beta.so",
            b"stray.pyc",
            b"__init__.py",
            b"__pycache__",
        ),
        *(b"notes.txt", b"v1.2", b".git", b"Upper", b"in-valid.py", b"two.dots.py", b"README"),
    ]
)
contents = st.one_of(st.binary(max_size=12), st.just(b"1\r\n2\n"))
explains = st.sampled_from([False, False, False, False, True])


class PluginFolder(RuleBasedStateMachine):
    """A real plugin folder and its model. Rules change both; invariants compare what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.root = os.path.join(self.folder, "plugins")
        self.lock_path = os.path.join(self.root, "PLUGINS.lock")
        os.mkdir(self.root)
        self.model = Folder()
        self.locked: dict[str, str] | None = {}
        self.explained: dict[str, dict[str, str]] = {}
        self.lock_now(explain=False)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # --- the same on the disk and in the model --------------------------------------------------

    def path(self, *steps: bytes) -> bytes:
        return os.path.join(os.fsencode(self.root), *steps)

    def at(self, steps: Steps) -> Folder:
        found: Node = self.model
        for name in steps:
            assert isinstance(found, Folder)
            found = found.entries[name]
        assert isinstance(found, Folder)
        return found

    def entries(self, *kinds: type[Node]) -> list[Steps]:
        """Return the places of all entries of these kinds."""
        return [steps for steps, node in every(self.model) if isinstance(node, kinds)]

    def put(self, steps: Steps, node: Node) -> None:
        self.at(steps[:-1]).entries[steps[-1]] = node
        path = self.path(*steps)
        match node:
            case File():
                Path(os.fsdecode(path)).write_bytes(node.data)
            case Folder():
                os.mkdir(path)
            case Link():
                os.symlink(b"." if node.to_folder else b"nowhere", path)
            case Fifo():
                os.mkfifo(path)

    def take_away(self, steps: Steps) -> None:
        node = self.at(steps[:-1]).entries.pop(steps[-1])
        if isinstance(node, Folder):
            shutil.rmtree(self.path(*steps))
        else:
            os.unlink(self.path(*steps))

    def free(self, data: st.DataObject) -> Steps | None:
        """Return a place where nothing is: in the plugin folder itself, or anywhere below it."""
        where = data.draw(st.sampled_from([(), (), *self.entries(Folder)]), label="folder")
        name = data.draw(names if where else root_names, label="name")
        taken = self.at(where).entries
        return None if name in taken else (*where, name)

    # --- rules ----------------------------------------------------------------------------------

    @initialize(plugins=st.sets(st.sampled_from(PLUGINS), min_size=1), explain=explains)
    def start(self, plugins: set[bytes], explain: bool) -> None:
        for plugin in sorted(plugins):
            self.put((plugin,), Folder())
            for name, content in ((b"plugin.yaml", b"name: x\n"), (b"api.py", b"VALUE = 1\n")):
                self.put((plugin, name), File(content))
        self.lock_now(explain)

    @rule(data=st.data(), content=contents)
    def add_a_file(self, data: st.DataObject, content: bytes) -> None:
        if place := self.free(data):
            self.put(place, File(content))

    @rule(data=st.data())
    def make_a_folder(self, data: st.DataObject) -> None:
        place = self.free(data)
        if place and len(place) < 5:
            self.put(place, Folder())

    @precondition(lambda self: self.plugins())
    @rule(data=st.data(), hostile=st.sampled_from([Link(True), Link(False), Fifo()]))
    def add_what_is_no_file(self, data: st.DataObject, hostile: Node) -> None:
        where = self.clean_folder(data)
        name = data.draw(names, label="name")
        if name not in self.at(where).entries:
            self.put((*where, name), hostile)

    @precondition(lambda self: self.plugins())
    @rule(data=st.data(), name=st.sampled_from(HOSTILE), folder=st.booleans())
    def add_a_hostile_name(self, data: st.DataObject, name: bytes, folder: bool) -> None:
        self.put((*self.clean_folder(data), name), Folder() if folder else File(b""))

    @precondition(lambda self: self.plugins())
    @rule(data=st.data(), pair=st.sampled_from(PAIRS), folder=st.booleans())
    def add_two_names(self, data: st.DataObject, pair: tuple[str, str], folder: bool) -> None:
        where = self.clean_folder(data)
        for name in map(str.encode, data.draw(st.permutations(pair))):
            if name not in self.at(where).entries:
                self.put((*where, name), Folder() if folder else File(b""))

    @precondition(lambda self: self.plugins())
    @rule(data=st.data(), node=st.sampled_from([Link(True), Link(False), Fifo(), File(b"")]))
    def put_something_in_the_place_of_a_plugin(self, data: st.DataObject, node: Node) -> None:
        plugin = data.draw(st.sampled_from(self.plugins()), label="plugin")
        self.take_away((plugin,))
        self.put((plugin,), node)

    def plugins(self) -> list[bytes]:
        return [name for name, node in self.model.entries.items() if isinstance(node, Folder)]

    def clean_folder(self, data: st.DataObject) -> Steps:
        """Return a folder of a plugin that holds nothing hostile, so that what is added now is
        alone."""
        plugin = data.draw(st.sampled_from(self.plugins()), label="plugin")
        self.clear(plugin)
        inside = [steps for steps in self.entries(Folder) if steps[0] == plugin]
        return data.draw(st.sampled_from(inside), label="folder")

    def clear(self, plugin: bytes) -> None:
        while defects := survey(self.at((plugin,))).defects:
            self.take_away((plugin, *next(iter(defects.values()))))

    @precondition(lambda self: self.plugins())
    @rule(data=st.data(), name=st.sampled_from(BYTECODE + NOT_BYTECODE), folder=st.booleans())
    def plant_bytecode(self, data: st.DataObject, name: bytes, folder: bool) -> None:
        """Or what only looks like it."""
        where = self.clean_folder(data)
        if name in self.at(where).entries:
            return
        if folder:
            self.put((*where, name), Folder())
            for inside in (b"api.cpython-313.pyc", b"api.py"):
                self.put((*where, name, inside), File(b"planted"))
        else:
            self.put((*where, name), File(b"planted"))

    @precondition(lambda self: any(len(steps) > 1 for steps in self.entries(File)))
    @rule(data=st.data(), at=st.integers(0, 20), flip=st.integers(1, 255))
    def change_one_byte(self, data: st.DataObject, at: int, flip: int) -> None:
        node, path = self.some_file(data)
        if node.data:
            at %= len(node.data)
            changed = bytes([node.data[at] ^ flip])
            node.data = node.data[:at] + changed + node.data[at + 1 :]
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(changed)

    @precondition(lambda self: any(len(steps) > 1 for steps in self.entries(File)))
    @rule(data=st.data(), size=st.integers(0, 20))
    def truncate(self, data: st.DataObject, size: int) -> None:
        node, path = self.some_file(data)
        size = min(size, len(node.data))
        node.data = node.data[:size]
        os.truncate(path, size)

    @precondition(lambda self: any(len(steps) > 1 for steps in self.entries(File)))
    @rule(data=st.data(), more=st.binary(min_size=1, max_size=4))
    def append(self, data: st.DataObject, more: bytes) -> None:
        node, path = self.some_file(data)
        node.data += more
        with open(path, "ab") as file:
            file.write(more)

    def some_file(self, data: st.DataObject) -> tuple[File, bytes]:
        inside = [steps for steps in self.entries(File) if len(steps) > 1]
        steps = data.draw(st.sampled_from(inside), label="file")
        node = self.at(steps[:-1]).entries[steps[-1]]
        assert isinstance(node, File)
        return node, self.path(*steps)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """To another name, another folder or another plugin, whatever it is."""
        old = data.draw(st.sampled_from([steps for steps, _ in every(self.model)]), label="entry")
        new = self.free(data)
        if new is None or new[: len(old)] == old:
            return  # taken, or into itself
        self.at(new[:-1]).entries[new[-1]] = self.at(old[:-1]).entries.pop(old[-1])
        os.rename(self.path(*old), self.path(*new))

    @rule()
    def clear_everything(self) -> None:
        """Honest work goes on after a refusal."""
        for plugin in self.plugins():
            self.clear(plugin)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        everything = [steps for steps, _ in every(self.model)]
        self.take_away(data.draw(st.sampled_from(everything), label="entry"))

    @precondition(lambda self: len(self.entries(File)) > 1)
    @rule(data=st.data())
    def swap_two_files(self, data: st.DataObject) -> None:
        two = data.draw(
            st.lists(st.sampled_from(self.entries(File)), min_size=2, max_size=2, unique=True)
        )
        one, other = (self.at(steps[:-1]).entries for steps in two)
        one[two[0][-1]], other[two[1][-1]] = other[two[1][-1]], one[two[0][-1]]
        aside = os.path.join(os.fsencode(self.folder), b"aside")
        os.rename(self.path(*two[0]), aside)
        os.rename(self.path(*two[1]), self.path(*two[0]))
        os.rename(aside, self.path(*two[1]))

    @precondition(lambda self: self.entries(File))
    @rule(data=st.data())
    def hard_link(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.entries(File)), label="file")
        if new := self.free(data):
            self.at(new[:-1]).entries[new[-1]] = self.at(old[:-1]).entries[old[-1]]
            os.link(self.path(*old), self.path(*new))

    @rule(explain=explains)
    def lock_now(self, explain: bool) -> None:
        """Pin every plugin that can be pinned; with ``explain``, say what was pinned."""
        sidecar = Path(self.root, "PLUGINS.sha256")
        sidecar.unlink(missing_ok=True)
        self.explained = {}
        pinned = {
            name.decode(): survey_unit(name, node)
            for name, node in self.model.entries.items()
            if isinstance(node, Folder | File) and name in UNITS
        }
        pinned = {plugin: found for plugin, found in pinned.items() if not found.defects}
        self.write_lock({plugin: found.digest for plugin, found in pinned.items()})
        if explain:
            self.explained = {
                plugin: {path: sha256(data) for path, data in found.files.items()}
                for plugin, found in pinned.items()
            }
            lines = [
                f"{digest}  {path if self.is_file(plugin) else f'{plugin}/{path}'}\n"
                for plugin, section in self.explained.items()
                for path, digest in section.items()
            ]
            sidecar.write_bytes("".join(lines).encode())

    @precondition(lambda self: self.locked)
    @rule(data=st.data(), digest=st.binary(min_size=32, max_size=32).map(bytes.hex))
    def lock_another_digest(self, data: st.DataObject, digest: str) -> None:
        assert self.locked
        plugin = data.draw(st.sampled_from(sorted(self.locked)), label="plugin")
        self.write_lock({**self.locked, plugin: digest})

    @precondition(lambda self: self.locked)
    @rule(data=st.data())
    def lock_one_less(self, data: st.DataObject) -> None:
        assert self.locked
        plugin = data.draw(st.sampled_from(sorted(self.locked)), label="plugin")
        self.write_lock({p: d for p, d in self.locked.items() if p != plugin})

    @rule(plugin=st.sampled_from(["alpha", "delta", "nowhere"]), same_as=st.booleans())
    def lock_what_need_not_be_there(self, plugin: str, same_as: bool) -> None:
        present = list((self.locked or {}).values())
        digest = present[0] if same_as and present else "0" * 64
        self.write_lock({**(self.locked or {}), plugin: digest})

    @precondition(lambda self: self.locked is not None)
    @rule(damage=st.sampled_from([b"", b"{", b"[]", b'{"a/b": ""}', b"\xef\xbb\xbf{}", None]))
    def spoil_the_lock(self, damage: bytes | None) -> None:
        self.locked = None
        if damage is None:
            os.unlink(self.lock_path)
        else:
            Path(self.lock_path).write_bytes(damage)

    def is_file(self, unit: str) -> bool:
        return isinstance(self.model.entries.get(unit.encode()), File)

    def write_lock(self, entries: dict[str, str]) -> None:
        self.locked = entries
        Path(self.lock_path).write_text(json.dumps(entries))

    # --- what must be said ----------------------------------------------------------------------

    def expected(self, *, alone: bool = False) -> dict[str, Verdict]:
        """Per unit, what the contract says.

        For a unit that is imported ``alone`` (``scope="plugin"``) the locked units of its module
        name count, and not what is beside them and not locked, which is never served.
        """
        present = importable(self.model)
        assert self.locked is not None
        if alone:
            served = set(map(module_of, self.locked))
            present = {unit: module for unit, module in present.items() if module not in served}
        verdicts = {}
        for plugin in self.locked.keys() | present.keys():
            node = self.model.entries.get(plugin.encode())
            if plugin not in self.locked:
                verdicts[plugin] = Verdict(one("unlocked_plugin"))
            elif node is None:
                verdicts[plugin] = Verdict(one("missing_plugin_directory"))
            elif isinstance(node, Link):
                verdicts[plugin] = Verdict(one("symlink_escape"))
            elif isinstance(node, Fifo):
                verdicts[plugin] = Verdict(one("unhashable_tree"))
            else:
                found = survey_unit(plugin.encode(), node)
                verdicts[plugin] = self.judge(plugin, found, self.locked[plugin])
        return verdicts

    def judge(self, plugin: str, found: Survey, pinned: str) -> Verdict:
        if found.defects:
            return Verdict(frozenset(found.defects))
        if found.digest == pinned:
            return Verdict()
        section = self.explained.get(plugin)
        believed = section is not None and digest_of(section) == pinned
        differences = changes(section, found.files) if section is not None and believed else None
        return Verdict(one("integrity_mismatch"), found.digest, differences)

    def check_tree(self, digest: str, files: dict[str, tuple[bytes, int]], plugin: str) -> None:
        name = plugin.encode()
        node = self.model.entries[name]
        assert isinstance(node, Folder | File)
        found = survey_unit(name, node)
        assert digest == found.digest
        assert files == {
            path: (hashlib.sha256(data).digest(), len(data)) for path, data in found.files.items()
        }

    def check_refusal(self, refused: Refusal, plugin: str, expected: Verdict) -> None:
        assert refused.plugin == plugin
        prefix = f"{self.root}/{plugin}"
        named = refused.evidence.get("offending_path", prefix)
        below = named.removeprefix(prefix).removeprefix("/")
        assert (refused.kind, below) in expected.refusals
        assert refused.model().kind == refused.kind
        assert "\n" not in refused.summary()
        if refused.kind == "integrity_mismatch":
            assert self.locked is not None
            assert refused.evidence == {"expected": self.locked[plugin], "actual": expected.digest}
            assert listed(refused.differences) == expected.differences

    @invariant()
    def everything_is_judged_as_the_contract_says(self) -> None:
        folder = GuardedFolder(self.root, self.lock_path)
        verdicts = list(verification.verify_root(folder))
        if self.locked is None:
            (verdict,) = verdicts
            assert verdict.unwrap_err().kind == "lock_file_malformed"
            return
        assert lock.read(self.lock_path) == Ok(self.locked)
        expected = self.expected()
        said = [v.value.plugin if isinstance(v, Ok) else v.error.plugin for v in verdicts]
        assert said == sorted(expected)
        for plugin, verdict in zip(said, verdicts, strict=True):
            if isinstance(verdict, Ok):
                assert expected[plugin] == Verdict()
                self.check_tree(verdict.value.digest, verdict.value.files, plugin)
            else:
                self.check_refusal(verdict.error, plugin, expected[plugin])

    @precondition(lambda self: self.plugins())
    @rule(data=st.data())
    def walk(self, data: st.DataObject) -> None:
        """Locked or not, and the same twice."""
        plugin = data.draw(st.sampled_from(self.plugins()), label="plugin").decode()
        walked = walk.walk(self.root, plugin)
        if isinstance(walked, Ok):
            assert not survey(self.at((plugin.encode(),))).defects
            self.check_tree(walked.value.digest, walked.value.files, plugin)
        else:
            defects = survey(self.at((plugin.encode(),))).defects
            self.check_refusal(walked.error, plugin, Verdict(frozenset(defects)))
            again = walk.walk(self.root, plugin).unwrap_err()
            assert (again.kind, again.evidence) == (walked.error.kind, walked.error.evidence)

    @rule(plugin=st.sampled_from(["alpha", "beta", "gamma", "gamma.py", "delta", "nowhere"]))
    def judge_one_plugin_alone(self, plugin: str) -> None:
        folder = GuardedFolder(self.root, self.lock_path)
        verdict = verification.verify_named(folder, plugin)
        if self.locked is None:
            assert verdict.unwrap_err().kind == "lock_file_malformed"
            return
        of_module = {
            unit: expected
            for unit, expected in self.expected(alone=True).items()
            if module_of(unit) == module_of(plugin)
        }
        if not isinstance(verdict, Ok):
            self.check_refusal(verdict.error, verdict.error.plugin, of_module[verdict.error.plugin])
            return
        assert sorted(tree.plugin for tree in verdict.value) == sorted(of_module)
        for tree in verdict.value:
            assert of_module[tree.plugin] == Verdict()
            self.check_tree(tree.digest, tree.files, tree.plugin)


def listed(differences: Differences | None) -> tuple[list[str], list[str], list[str]] | None:
    if differences is None:
        return None
    return list(differences.changed), list(differences.added), list(differences.removed)


TestPluginFolder = PluginFolder.TestCase
# The duration of an example is no property of the code.
TestPluginFolder.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=40, report_multiple_bugs=False
)
