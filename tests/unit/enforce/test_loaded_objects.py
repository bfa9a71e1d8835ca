"""The linker's entry of an object that is no copy stays as it is."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from codegenie._enforce import libraries
from codegenie._enforce.loaded_objects import LoadedObject

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not libraries.can_bind(), reason="needs glibc and /proc/self/mem"
)


def test_an_object_that_was_opened_by_another_name_gets_none() -> None:
    handle = ctypes.CDLL("libc.so.6")._handle
    with LoadedObject(handle) as loaded, pytest.raises(OSError, match="not as expected"):
        loaded.give_name(b"/another/copy", b"/plugins/alpha/library.so")
    with pytest.raises(OSError, match="No such file"):
        ctypes.CDLL("/plugins/alpha/library.so", mode=os.RTLD_NOLOAD)


def test_an_address_without_memory_is_an_error() -> None:
    with LoadedObject(8) as loaded, pytest.raises(OSError, match="Input/output"):
        loaded.give_name(b"/copy", b"/plugins/alpha/library.so")
