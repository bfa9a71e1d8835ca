"""Machine code that runs the payload when it is loaded."""

from __future__ import annotations

import functools
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from tests.attacks.attack import Need
from tests.fixtures.machine_code import COMPILER, header_options

SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
A_COMPILER = Need(
    "Linux and a C compiler, to build machine code", bool(COMPILER) and sys.platform == "linux"
)

# The payload is a constructor: it runs when the dynamic linker loads the file, before Python has
# asked for the module in it. Refusing the module afterwards would be too late.
SOURCE = """
#include <Python.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef QUIET
__attribute__((constructor)) static void payload(void)
{
    FILE *witness = fopen(getenv("WITNESS"), "a");
    fputs("PAYLOAD\\n", witness);
    fclose(witness);
}
#endif

#define MODULE(NAME)                                                                    \\
    static PyModuleDef NAME = {PyModuleDef_HEAD_INIT, #NAME, 0, 0, 0, slots, 0, 0, 0};   \\
    PyMODINIT_FUNC PyInit_##NAME(void) { return PyModuleDef_Init(&NAME); }

static int value(PyObject *module) { return PyModule_AddIntConstant(module, "VALUE", 1); }
static PyModuleDef_Slot slots[] = {{Py_mod_exec, value}, {0, 0}};
MODULE(alpha)
MODULE(extra)
MODULE(helper)
"""


def compiler() -> str:
    """Return the C compiler; only where ``A_COMPILER`` is available."""
    return str(COMPILER)


@functools.cache
def machine_code(*options: str) -> bytes:
    """Return an extension module that can be imported as ``alpha``, ``extra`` and ``helper``.

    Args:
        options: for the compiler; ``-DQUIET`` leaves the payload out.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "payload.c"), Path(folder, "payload.so")
        source.write_text(SOURCE)
        command = [compiler(), "-shared", "-fPIC", *options, *header_options()]
        command += [str(source), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        return target.read_bytes()
