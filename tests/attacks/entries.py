"""Entries that cannot be pinned. None of them makes the guard hang, fail or follow.

If such an entry can be hashed or passed over at all, the folder is locked by a lenient walk, which
follows links and passes over all that is no file. A guard that is no stricter runs the payload.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable

from tests.attacks.attack import EVIL, IMPORT, PAYLOAD, Attack, Need, Refused
from tests.fixtures.trees import Application

Prepare = Callable[[Application], None]

LINUX = Need("Linux, whose file systems take any bytes for a name", sys.platform == "linux")

DEEP = 3000
"""Folders below each other: more than Python recurses, and than a path can name."""

MANY = 50_000
HUGE = 1 << 30


def beside_the_payload(make: Prepare) -> Prepare:
    """Prepare a plugin that is the payload, with the entry that ``make`` makes, locked
    leniently."""

    def prepare(application: Application) -> None:
        application.write("alpha/api.py", PAYLOAD)
        make(application)
        application.lock()

    return prepare


def link(name: str, target: str) -> Prepare:
    def make(application: Application) -> None:
        (application.plugin / name).symlink_to(target)

    return beside_the_payload(make)


def link_to_code(application: Application) -> None:
    """Make a link to the payload, with the name of a module."""
    outside = application.folder / "outside.py"
    outside.write_text(EVIL)
    (application.plugin / "helper.py").unlink()
    (application.plugin / "helper.py").symlink_to(outside)
    application.lock()


def link_to_a_package(application: Application) -> None:
    outside = application.folder / "outside"
    outside.mkdir()
    (outside / "__init__.py").write_text(EVIL)
    (application.plugin / "helper.py").unlink()
    (application.plugin / "helper").symlink_to("../../outside")
    application.lock()


def link_for_a_plugin(application: Application) -> None:
    outside = application.folder / "outside"
    application.plugin.rename(outside)
    (outside / "helper.py").write_text(EVIL)
    application.plugin.symlink_to(outside)
    application.lock()


def link_for_the_root(application: Application) -> None:
    """Not hostile in itself: the folder may be mounted anywhere. Its content still counts."""
    application.write("alpha/helper.py", EVIL)
    application.root.rename(application.folder / "elsewhere")
    application.root.symlink_to("elsewhere")


def link_loop(application: Application) -> None:
    (application.plugin / "one").symlink_to("two")
    (application.plugin / "two").symlink_to("one")


def fifo(application: Application) -> None:
    os.mkfifo(application.plugin / "pipe.py")


def socket(application: Application) -> None:
    os.mknod(application.plugin / "socket", stat.S_IFSOCK | 0o600)


def device(application: Application) -> None:
    """/dev/zero, which can be read for ever."""
    os.mknod(application.plugin / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))


def can_make_devices() -> bool:
    """Root may, unless it is the root of a container only."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.mknod(os.path.join(folder, "null"), stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            return False
    return True


def unreadable_file(application: Application) -> None:
    application.write("alpha/secret.txt", "x").chmod(0)


def unreadable_folder(application: Application) -> None:
    application.write("alpha/secret/data.txt", "x")
    (application.plugin / "secret").chmod(0)


def locked_before(make: Prepare) -> Prepare:
    """As ``beside_the_payload``, for an entry that cannot be hashed, not even leniently."""

    def prepare(application: Application) -> None:
        application.write("alpha/api.py", PAYLOAD)
        application.lock()
        make(application)

    return prepare


def named(*names: bytes) -> Prepare:
    def make(application: Application) -> None:
        for name in names:
            with open(os.path.join(os.fsencode(application.plugin), name), "wb") as file:
                file.write(b"x")

    return make


def too_deep(application: Application) -> None:
    folder = os.open(application.plugin, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("data.txt", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)


def huge(application: Application) -> None:
    os.truncate(application.write("alpha/data.bin", ""), HUGE)


def many(application: Application) -> None:
    for number in range(100):
        first = application.write(f"alpha/folder{number}/data.txt", "x")
        for file in range(1, MANY // 100):
            # Second names of one file: a walk sees as many files, and they are made much faster.
            os.link(first, f"{first.parent}/data{file}.txt")


def not_pinned(path: str, says: str) -> Refused:
    return Refused("unhashable_tree", at=f"plugins/alpha/{path}".rstrip("/"), says=says)


def escape(path: str) -> Refused:
    return Refused("symlink_escape", at=f"plugins/alpha/{path}".rstrip("/"))


# Root reads what it likes. Without these two capabilities it is subject to permissions as everybody
# is (capset(2); _LINUX_CAPABILITY_VERSION_3, CAP_DAC_OVERRIDE 1, CAP_DAC_READ_SEARCH 2).
AS_NO_SUPERUSER = (
    """
    import os
    if os.geteuid() == 0:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        version, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(version, sets) == 0, ctypes.get_errno()
        for kind in range(3):
            sets[kind] &= ~(1 << 1 | 1 << 2)
        assert libc.capset(version, sets) == 0, ctypes.get_errno()
    """
    + IMPORT
)

ATTACKS = (
    Attack(
        "entries/link-to-code",
        "A module is a link.",
        escape("helper.py"),
        prepare=link_to_code,
    ),
    Attack(
        "entries/link-to-a-package",
        "A package is a link.",
        escape("helper"),
        prepare=link_to_a_package,
    ),
    Attack(
        "entries/link-for-a-plugin",
        "A plugin's folder is a link.",
        escape(""),
        prepare=link_for_a_plugin,
    ),
    Attack(
        "entries/link-for-the-root",
        "plugins/ is a link, and a plugin in it changed.",
        Refused("integrity_mismatch"),
        prepare=link_for_the_root,
    ),
    Attack(
        "entries/link-inside",
        "A link to another file of the plugin.",
        escape("again.py"),
        prepare=link("again.py", "helper.py"),
    ),
    Attack(
        "entries/link-upwards",
        "A link to its own folder.",
        escape("up"),
        prepare=link("up", "."),
    ),
    Attack(
        "entries/link-loop",
        "Two links to each other.",
        escape("one"),
        prepare=beside_the_payload(link_loop),
    ),
    Attack(
        "entries/link-to-itself",
        "A link to itself.",
        escape("self"),
        prepare=link("self", "self"),
    ),
    Attack(
        "entries/link-to-nothing",
        "A dangling link: what it leads to can come later.",
        escape("later.py"),
        prepare=link("later.py", "../../nothing.py"),
    ),
    Attack(
        "entries/link-to-a-device",
        "A link to a file without end.",
        escape("zero"),
        prepare=link("zero", "/dev/zero"),
    ),
    Attack(
        "entries/link-to-bytecode",
        "A link that is left out of the digest by its name.",
        escape("helper.pyc"),
        prepare=link("helper.pyc", "../../outside.pyc"),
    ),
    Attack(
        "entries/fifo",
        "A FIFO without a writer.",
        not_pinned("pipe.py", "is a FIFO"),
        prepare=beside_the_payload(fifo),
    ),
    Attack(
        "entries/socket",
        "A socket.",
        not_pinned("socket", "is a socket"),
        prepare=beside_the_payload(socket),
        needs=LINUX,
    ),
    Attack(
        "entries/device",
        "A device without end.",
        not_pinned("zero", "is a character device"),
        prepare=beside_the_payload(device),
        needs=Need("the right to make device nodes", can_make_devices()),
    ),
    Attack(
        "entries/unreadable-file",
        "A file without permissions.",
        not_pinned("secret.txt", "permission denied"),
        AS_NO_SUPERUSER,
        locked_before(unreadable_file),
        needs=LINUX,
    ),
    Attack(
        "entries/unreadable-folder",
        "A folder without permissions.",
        not_pinned("secret", "permission denied"),
        AS_NO_SUPERUSER,
        locked_before(unreadable_folder),
        needs=LINUX,
    ),
    Attack(
        "entries/not-utf-8",
        "A name that is not UTF-8.",
        not_pinned("\\xff.txt", "not UTF-8"),
        prepare=locked_before(named(b"\xff.txt")),
        needs=LINUX,
    ),
    Attack(
        "entries/line-feed",
        "A name that holds a line of the digest, so that two trees have one digest.",
        not_pinned(f"a\\u000a{'0' * 64}  b.txt", "control character"),
        prepare=beside_the_payload(named(f"a\n{'0' * 64}  b.txt".encode())),
        needs=LINUX,
    ),
    Attack(
        "entries/escape-sequence",
        "A name that a terminal would obey.",
        not_pinned("\\u001b[2J.txt", "control character"),
        prepare=beside_the_payload(named(b"\x1b[2J.txt")),
        needs=LINUX,
    ),
    Attack(
        "entries/c1-control",
        "The same in one character.",
        not_pinned("\\u009b2J.txt", "control character"),
        prepare=beside_the_payload(named("\x9b2J.txt".encode())),
        needs=LINUX,
    ),
    Attack(
        "entries/backslash",
        "A name that is a path elsewhere.",
        not_pinned("a\\b.txt", "backslash"),
        prepare=beside_the_payload(named(b"a\\b.txt")),
        needs=LINUX,
    ),
    Attack(
        "entries/case",
        "Two names that differ in case.",
        not_pinned("data.txt", "one name"),
        prepare=beside_the_payload(named(b"Data.txt", b"data.txt")),
        needs=LINUX,
    ),
    Attack(
        "entries/case-folding",
        "Two names that case folding makes one, of different length.",
        not_pinned("straße.txt", "one name"),
        prepare=beside_the_payload(named(b"STRASSE.txt", "straße.txt".encode())),
        needs=LINUX,
    ),
    Attack(
        "entries/normal-form",
        "Two names that are one letter, composed and decomposed.",
        not_pinned("\u00e9.txt", "one name"),
        prepare=beside_the_payload(named("e\u0301.txt".encode(), "\u00e9.txt".encode())),
        needs=LINUX,
    ),
    Attack(
        "entries/too-deep",
        f"{DEEP} folders below each other.",
        not_pinned("/".join("d" * 129), "folders deep"),
        prepare=locked_before(too_deep),
    ),
    Attack(
        "entries/huge",
        "A sparse file of 1 GiB: it is hashed in little memory.",
        Refused("integrity_mismatch", tree_as_it_is=False),
        prepare=locked_before(huge),
        seconds=180,
    ),
    Attack(
        "entries/many",
        f"{MANY} files: they are hashed within the memory of their digests.",
        Refused("integrity_mismatch", tree_as_it_is=False),
        prepare=locked_before(many),
        seconds=180,
    ),
)
