"""The dynamic linker's entries of the objects that it has loaded, and the names it has for them.

Reading and writing go through ``/proc/self/mem``, because a bad address is an error there and does
not end the process.
"""

import errno
import os
import sys

from codegenie import _start

_POINTER = (sys.maxsize.bit_length() + 1) // 8
"""Bytes of an address."""

_NAME, _LD, _REAL, _OTHER_NAMES = (number * _POINTER for number in (1, 2, 5, 7))
"""The offsets of members of ``struct link_map`` (glibc's ``include/link.h``).

``l_name``; ``l_ld``, the address of the dynamic section; ``l_real``, the address of the structure
itself; and ``l_libname``, the first ``struct libname_list``: a name, the next one, and whether
``dlclose`` must keep it.
"""

_LONGEST_PATH = 4096
"""Bytes of a path, as ``PATH_MAX`` (``limits.h`` of Linux)."""


class LoadedObject:
    """The linker's entry of a loaded object, and the names that the linker knows it by.

    A handle of ``dlopen`` is the address of that ``struct link_map``. Before glibc opens a file, it
    compares the name with ``l_name`` and the names of ``l_libname`` of each loaded object
    (``_dl_name_match_p`` in ``elf/dl-misc.c``).
    """

    __slots__ = ("_handle", "_memory")

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __enter__(self) -> "LoadedObject":
        self._memory = _start.open_file("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
        return self

    def __exit__(self, *_: object) -> None:
        _start.close(self._memory)

    def give_name(self, opened: bytes, name: bytes) -> None:
        """Add a name to those of a copy that was ``opened`` by another one.

        The first name replaces ``l_name``, which ``dladdr`` reports. Each further name is added in
        front of ``l_libname``.

        Threat: between the guard's check and the linker, another thread opens the library by
        another name, and the linker no longer finds the first. Rule: a name is never taken away.
        Consequence: the linker opens no file for a name that was checked.

        Raises:
            OSError: the entry is not one of such a copy.
        """
        own = self._text(self.pointer(self._handle + _NAME))
        if own == name:
            return
        if own == opened:
            self._write(self._handle + _NAME, self._text_of(name))
            return
        others = self._other_names()
        if self.pointer(self._handle + _REAL) != self._handle or opened not in others:
            raise OSError("the linker's list of loaded objects is not as expected")
        if name not in others:
            # Put first, because the linker itself adds names at the end, in its own threads.
            added = _allocate(3 * _POINTER)
            self._write(added, self._text_of(name))
            self._write(added + _POINTER, self.pointer(self._handle + _OTHER_NAMES))
            self._write(self._handle + _OTHER_NAMES, added)

    def pointer(self, address: int) -> int:
        """Return the pointer that is stored at an address.

        Raises:
            OSError: no memory is there.
        """
        return int.from_bytes(os.pread(self._memory, _POINTER, address), sys.byteorder)

    def _other_names(self) -> list[bytes]:
        names = []
        entry = self.pointer(self._handle + _OTHER_NAMES)
        while entry:
            names.append(self._text(self.pointer(entry)))
            entry = self.pointer(entry + _POINTER)
        return names

    def _text(self, address: int) -> bytes:
        """Return the text at an address, as far as a path can be long."""
        return os.pread(self._memory, _LONGEST_PATH, address).partition(b"\0")[0]

    def _text_of(self, text: bytes) -> int:
        """Return the address of new memory with a text, which the linker may free."""
        address = _allocate(len(text) + 1)
        os.pwrite(self._memory, text, address)
        return address

    def _write(self, address: int, pointer: int) -> None:
        os.pwrite(self._memory, pointer.to_bytes(_POINTER, sys.byteorder), address)


def _allocate(size: int) -> int:
    """Return the address of new memory of the C library, which is zero.

    Raises:
        OSError: there is none.
    """
    import ctypes

    allocate = ctypes.CDLL(None).calloc
    allocate.argtypes, allocate.restype = [ctypes.c_size_t] * 2, ctypes.c_void_p
    address: int | None = allocate(1, size)
    if address is None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return address


def mapping_of(handle: int) -> str:
    """Return the line of ``/proc/self/maps`` that holds the dynamic section of a loaded object."""
    with LoadedObject(handle) as loaded:
        address = loaded.pointer(handle + _LD)
    with open("/proc/self/maps") as lines:
        for line in lines:
            first, _, end = line.partition(" ")[0].partition("-")
            if int(first, 16) <= address < int(end, 16):
                return line
    return ""
