"""Open a file once, read it once, hash it, compare, and return that same buffer.

Everything that leaves a verified tree (source to compile, machine code to load, a resource, the
text that ``inspect`` shows) passes through ``read_verified``. So only hashed bytes are used, and a
file that an attacker replaces after the walk does not match.
"""

import os
import stat

from codegenie import _start
from codegenie._start.folder_paths import spelled_path
from codegenie._start.own_modules import Late
from codegenie.files import OPEN_FLAGS, kind_of, open_unblocked, read_exactly, reason
from codegenie.hashing import file_digest, tree_digest_of_digests
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.integrity.verified_tree import VerifiedTree
    from codegenie.refusals import kinds
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result
else:
    kinds = Late("refusals.kinds")


def read_verified(
    tree: "VerifiedTree", relative: str, *, opened_as: str = ""
) -> "Result[bytes, Refusal]":
    """Return the bytes of one file of a verified tree.

    Args:
        opened_as: a name by which other code opens the file. It must lead to the same file.

    Raises:
        KeyError: the tree has no such file. Callers check that first.
    """
    digest, size = tree.files[relative]
    path = tree.path_of(relative)
    try:
        # Checks links in the last component only. A folder above may have become a link, but the
        # bytes are compared with the verified digest anyway.
        descriptor = open_unblocked(path, OPEN_FLAGS)
    except OSError as error:
        if os.path.islink(path):
            return Err(kinds.symlink_escape(tree.root, tree.plugin, path))
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return Err(_changed(tree, relative, None))
        detail = f"cannot be opened: {reason(error)}"
        return Err(
            kinds.UNHASHABLE_TREE.refusal(
                tree.root, tree.plugin, offending_path=path, detail=detail
            )
        )
    try:
        status = _start.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            detail = f"is {kind_of(status.st_mode)}"
            return Err(
                kinds.UNHASHABLE_TREE.refusal(
                    tree.root, tree.plugin, offending_path=path, detail=detail
                )
            )
        # No other file can get this inode number while the file is open.
        if opened_as and not _leads_to(opened_as, status):
            return Err(_another_file(tree, relative, opened_as))
        # One byte more than the verified size shows that a file has grown, and limits the memory.
        data = read_exactly(descriptor, size + 1)
    except OSError as error:
        detail = f"cannot be read: {reason(error)}"
        return Err(
            kinds.UNHASHABLE_TREE.refusal(
                tree.root, tree.plugin, offending_path=path, detail=detail
            )
        )
    finally:
        _start.close(descriptor)
    found = file_digest(data)
    if found != digest:
        return Err(_changed(tree, relative, found))
    return Ok(data)


def _leads_to(name: str, verified: os.stat_result) -> bool:
    """Return True if a name leads to this file, both as it is and normalized as text.

    With a link in it (``link/..``) these can be two files, and either may be the one that other
    code opens.
    """
    found = False
    for spelled in {name, spelled_path(name, os) or name}:
        try:
            status = _start.stat(spelled)
        except (OSError, ValueError):
            continue  # this spelling opens no file
        if (status.st_dev, status.st_ino) != (verified.st_dev, verified.st_ino):
            return False
        found = True
    return found


def _another_file(tree: "VerifiedTree", relative: str, name: str) -> "Refusal":
    detail = f"it leads to another file than {relative} of the verified tree"
    fix = "name it by its path, without links and '..'"
    return kinds.unverified_code(tree.plugin, name, detail, remedy=fix)


def _changed(tree: "VerifiedTree", relative: str, found: bytes | None) -> "Refusal":
    """Return a mismatch of tree digests: the verified one, and the one with the file as it is now.

    For a file that has grown, ``found`` covers one byte more than its old size. That is enough to
    differ.
    """
    now = {path: record[0] for path, record in tree.files.items()}
    if found is None:
        del now[relative]
    else:
        now[relative] = found
    return kinds.changed_since_verified(
        tree.root,
        tree.plugin,
        tree.digest,
        tree_digest_of_digests(now.items()),
        changed=[relative] if found else [],
        removed=[] if found else [relative],
    )
