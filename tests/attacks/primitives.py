"""Application code that replaces what the guard checks with, before the first guarded import.

Each replacement would let a changed tree pass, or make other code of verified bytes, if the guard
looked it up when it needs it.
"""

from __future__ import annotations

import py_compile
import sys

from tests.attacks.attack import EVIL, Attack, Closed, Ignored, Refused
from tests.attacks.bytecode import forged
from tests.fixtures.trees import Application, oracle

IMPORT = "import plugins.alpha.api\n"
MISMATCH = Refused("integrity_mismatch")


def changed(application: Application) -> None:
    """The changed tree, its digest, and the honest file: all that a forger needs to know."""
    helper = application.plugin / "helper.py"
    (application.folder / "honest.py").write_bytes(helper.read_bytes())
    (application.folder / "honest.digest").write_text(oracle(application.plugin))
    helper.write_text(EVIL)
    (application.folder / "evil.digest").write_text(oracle(application.plugin))


def added(application: Application) -> None:
    application.write("alpha/__init__.py", EVIL)


def linked(application: Application) -> None:
    application.plugin.rename(application.folder / "outside")
    (application.folder / "outside" / "helper.py").write_text(EVIL)
    application.plugin.symlink_to("../outside")


def with_honest_bytecode(application: Application) -> None:
    """Cached bytecode as Python leaves it: without it ``marshal`` is not asked."""
    py_compile.compile(str(application.plugin / "helper.py"), doraise=True)


def planted_elsewhere(application: Application) -> None:
    (application.folder / "planted").write_bytes(forged(application.plugin / "helper.py"))


# The common part of the forgers below. ``good`` and ``evil`` are read before anything is replaced.
KNOWN = """
import os, sys
good = open('honest.py', 'rb').read()
evil = open('plugins/alpha/helper.py', 'rb').read()
digests = open('honest.digest').read(), open('evil.digest').read()
lock = {'alpha': digests[1]}
"""

# Of any plugin module it makes the payload.
FORGED_COMPILE = """
import builtins
genuine = compile
def forged(source, filename, *arguments, **options):
    source = EVIL if str(filename).endswith('helper.py') else source
    return genuine(source, filename, *arguments, **options)
builtins.compile = forged
import plugins.alpha.api
"""

# The tracer does what another thread may do at that moment.
REPLACED_FOR_A_MOMENT = f"""
import importlib.machinery, sys
{FORGED_COMPILE.replace("import plugins.alpha.api", "")}
builtins.compile = genuine
code = importlib.machinery.SourceFileLoader.source_to_code.__code__
def trace(frame, event, argument):
    if frame.f_code is code:
        builtins.compile = genuine if event == 'return' else forged
        return trace
sys.settrace(trace)
import plugins.alpha.api
"""

# A hash that takes the changed file for the honest one.
HASH = """
class Forged:
    def __init__(self, data=b'', *, genuine, **options):
        self.genuine = genuine()
        self.update(data)
    def update(self, data):
        self.genuine.update(good if bytes(data) == evil else data)
    def __getattr__(self, name):
        return getattr(self.genuine, name)

def forge(genuine):
    return lambda data=b'', **options: Forged(data, genuine=genuine)
"""
SHA2 = "_sha2" if sys.version_info >= (3, 12) else "_sha256"


def forging(replace: str) -> str:
    return f"{KNOWN}{replace}\n{IMPORT}"


def hashing(replace: str) -> str:
    return forging(HASH + replace)


ATTACKS = (
    # --- hashing ---------------------------------------------------------------------------------
    Attack(
        "primitives/hashlib-sha256",
        "hashlib.sha256 takes the changed file for the honest one.",
        MISMATCH,
        hashing("import hashlib; hashlib.sha256 = forge(hashlib.sha256)"),
        changed,
    ),
    Attack(
        "primitives/hashlib-new",
        "hashlib.new does.",
        MISMATCH,
        hashing(
            "import hashlib; genuine = hashlib.sha256\n"
            "hashlib.new = lambda name, data=b'', **options: Forged(data, genuine=genuine)"
        ),
        changed,
    ),
    Attack(
        "primitives/hashlib-file-digest",
        "hashlib.file_digest does.",
        MISMATCH,
        hashing(
            "import hashlib\nhashlib.file_digest = lambda file, name: forge(hashlib.sha256)(file.read())"
        ),
        changed,
    ),
    Attack(
        "primitives/hashlib-module",
        "sys.modules has another hashlib.",
        MISMATCH,
        hashing(
            "import _hashlib, types\nfake = sys.modules['hashlib'] = types.ModuleType('hashlib')\n"
            "fake.sha256 = forge(_hashlib.openssl_sha256)"
        ),
        changed,
    ),
    Attack(
        "primitives/openssl-sha256",
        "_hashlib.openssl_sha256 does, which is beneath hashlib.",
        MISMATCH,
        hashing("import _hashlib; _hashlib.openssl_sha256 = forge(_hashlib.openssl_sha256)"),
        changed,
    ),
    Attack(
        "primitives/built-in-sha256",
        f"{SHA2}.sha256 does, and there is no OpenSSL.",
        Closed("no SHA-256"),
        hashing(
            f"import {SHA2} as own; own.sha256 = forge(own.sha256); sys.modules['_hashlib'] = None"
        ),
        changed,
    ),
    Attack(
        "primitives/another-hash",
        "Another hash of OpenSSL has the name of SHA-256.",
        MISMATCH,
        hashing("import _hashlib; _hashlib.openssl_sha256 = _hashlib.openssl_sha3_256"),
        changed,
    ),
    Attack(
        "primitives/hash-module",
        "sys.modules has another _hashlib, of built-in functions only.",
        MISMATCH,
        hashing(
            "import _hashlib, types\nfake = types.ModuleType('_hashlib')\n"
            "fake.openssl_sha256 = forge(_hashlib.openssl_sha256)\nsys.modules['_hashlib'] = fake"
        ),
        changed,
    ),
    # --- JSON ------------------------------------------------------------------------------------
    Attack(
        "primitives/json-loads",
        "json.loads returns a lock for the changed tree.",
        MISMATCH,
        forging("import json; json.loads = lambda *a, **k: lock"),
        changed,
    ),
    Attack(
        "primitives/json-load",
        "json.load does.",
        MISMATCH,
        forging("import json; json.load = lambda *a, **k: lock"),
        changed,
    ),
    Attack(
        "primitives/json-decoder",
        "JSONDecoder.decode and raw_decode do.",
        MISMATCH,
        forging(
            "import json\njson.JSONDecoder.decode = lambda *a, **k: lock\n"
            "json.JSONDecoder.raw_decode = lambda self, text, *a: (lock, len(text))"
        ),
        changed,
    ),
    Attack(
        "primitives/json-scanstring",
        "scanstring returns the digest of the changed tree, for the scanner written in Python.",
        MISMATCH,
        forging(
            "import json.decoder, json.scanner\ngenuine = json.decoder.scanstring\n"
            "def scanstring(text, end, strict=True):\n"
            "    value, end = genuine(text, end, strict)\n"
            "    return (digests[1] if value == digests[0] else value), end\n"
            "json.decoder.scanstring = json.decoder.py_scanstring = scanstring\n"
            "json.scanner.make_scanner = json.scanner.py_make_scanner"
        ),
        changed,
    ),
    Attack(
        "primitives/json-scanner",
        "_json.make_scanner does, which is beneath json.",
        MISMATCH,
        forging(
            "import _json\n"
            "_json.make_scanner = lambda rules: lambda text, index: (lock, len(text.rstrip()))"
        ),
        changed,
    ),
    Attack(
        "primitives/json-scanner-class",
        "The same with a class that derives from the genuine one.",
        MISMATCH,
        forging(
            "import _json\n"
            "try:\n"
            "    class make_scanner(_json.make_scanner): pass\n"
            "except TypeError:\n"
            "    class make_scanner:\n"
            "        def __init__(self, rules): pass\n"
            "make_scanner.__call__ = lambda self, text, index: (lock, len(text.rstrip()))\n"
            "_json.make_scanner = make_scanner"
        ),
        changed,
    ),
    # --- reading ---------------------------------------------------------------------------------
    Attack(
        "primitives/os-read",
        "os.read returns the honest bytes of the changed file.",
        MISMATCH,
        forging(
            "genuine = os.read\n"
            "def read(descriptor, size):\n"
            "    data = genuine(descriptor, size)\n"
            "    return good if data == evil[:size] else data\n"
            "os.read = read"
        ),
        changed,
    ),
    Attack(
        "primitives/posix-read",
        "posix.read does.",
        MISMATCH,
        forging(
            "import posix; genuine = posix.read\n"
            "def read(descriptor, size):\n"
            "    data = genuine(descriptor, size)\n"
            "    return good if data == evil[:size] else data\n"
            "posix.read = read"
        ),
        changed,
    ),
    Attack(
        "primitives/os-read-changing",
        "os.read returns a buffer that holds the honest bytes until it is compiled.",
        MISMATCH,
        forging(
            "genuine = os.read\n"
            "handed_out = []\n"
            "def read(descriptor, size):\n"
            "    data = genuine(descriptor, size)\n"
            "    if data == evil[:size]:\n"
            "        data = bytearray(good)\n"
            "        handed_out.append(data)\n"
            "    return data\n"
            "def swap(event, arguments):\n"
            "    if event == 'compile' and handed_out:\n"
            "        for data in handed_out:\n"
            "            data[:] = evil\n"
            "sys.addaudithook(swap)\n"
            "os.read = read"
        ),
        changed,
    ),
    Attack(
        "primitives/os-open",
        "os.open opens the honest file in the place of the changed one.",
        MISMATCH,
        forging(
            "genuine = os.open\n"
            "def forged(path, *arguments, **options):\n"
            "    if os.path.basename(os.fsdecode(path)) == 'helper.py':\n"
            "        return genuine(os.path.abspath('honest.py'), *arguments)\n"
            "    return genuine(path, *arguments, **options)\n"
            "os.open = forged"
        ),
        changed,
    ),
    Attack(
        "primitives/os-fstat",
        "os.fstat gives the changed file the size of the honest one.",
        MISMATCH,
        forging(
            "genuine = os.fstat\n"
            "def forged(descriptor):\n"
            "    found = list(genuine(descriptor))\n"
            "    if found[6] == len(evil):\n"
            "        found[6] = len(good)\n"
            "    return os.stat_result(found)\n"
            "os.fstat = forged"
        ),
        changed,
    ),
    Attack(
        "primitives/os-lstat",
        "os.lstat takes a link for a folder.",
        Refused("symlink_escape", at="plugins/alpha"),
        "import os; os.lstat = os.stat\n" + IMPORT,
        linked,
    ),
    Attack(
        "primitives/os-scandir",
        "os.scandir does not list what was added.",
        MISMATCH,
        "import os\ngenuine = os.scandir\n"
        "class Listing(list):\n"
        "    __enter__ = lambda self: self\n"
        "    __exit__ = lambda self, *a: None\n"
        "os.scandir = lambda path='.': Listing(e for e in genuine(path) if e.name != '__init__.py')\n"
        + IMPORT,
        added,
    ),
    Attack(
        "primitives/os-listdir",
        "os.listdir and os.walk do not either.",
        MISMATCH,
        "import os\ngenuine = os.listdir\n"
        "os.listdir = lambda path='.': [n for n in genuine(path) if n != '__init__.py']\n"
        "os.walk = os.fwalk = lambda *a, **k: iter(())\n" + IMPORT,
        added,
    ),
    Attack(
        "primitives/os-module",
        "sys.modules has another os, whose functions read the honest file.",
        MISMATCH,
        forging(
            "import types\nfake = types.ModuleType('os'); vars(fake).update(vars(os))\n"
            "genuine = os.read\n"
            "def read(descriptor, size):\n"
            "    data = genuine(descriptor, size)\n"
            "    return good if data == evil[:size] else data\n"
            "fake.read = read; sys.modules['os'] = fake"
        ),
        changed,
    ),
    Attack(
        "primitives/builtins-open",
        "open and io.open open the honest file in the place of the changed one.",
        MISMATCH,
        forging(
            "import builtins, io; genuine = open\n"
            "def forged(path, *arguments, **options):\n"
            "    honest = str(path).endswith('helper.py')\n"
            "    return genuine('honest.py' if honest else path, *arguments, **options)\n"
            "builtins.open = io.open = forged"
        ),
        changed,
    ),
    # --- code ------------------------------------------------------------------------------------
    Attack(
        "primitives/open-code",
        "io.open_code opens the payload in the place of any plugin module.",
        Ignored(),
        """
        import _io, io
        genuine = io.open_code
        def forged(path):
            return io.BytesIO(EVIL.encode()) if path.endswith('helper.py') else genuine(path)
        io.open_code = _io.open_code = forged
        """
        + "\n        import plugins.alpha.api",
    ),
    Attack(
        "primitives/marshal-loads",
        "marshal.loads makes the payload of any bytecode.",
        Refused("unverified_code", at="plugins/alpha/api.py", says="marshal.loads"),
        """
        import marshal
        evil = compile(EVIL, 'elsewhere.py', 'exec')
        genuine = marshal.loads
        def loads(data):
            return evil if b'helper.py' in bytes(data) else genuine(data)
        marshal.loads = loads
        import plugins.alpha.api
        """,
        with_honest_bytecode,
    ),
    Attack(
        "primitives/compile",
        "builtins.compile makes the payload of any plugin module.",
        Refused("unverified_code", at="plugins/alpha/api.py", says="builtins.compile"),
        FORGED_COMPILE,
    ),
    Attack(
        "primitives/compile-for-a-moment",
        "Another thread replaces builtins.compile between the check for that and the use.",
        Ignored(),
        REPLACED_FOR_A_MOMENT,
    ),
    Attack(
        "primitives/compile-without-cache-tag",
        "The same in an interpreter that claims to have no bytecode: importlib reads less then.",
        Refused("unverified_code", at="plugins/alpha/api.py", says="builtins.compile"),
        f"import sys\nsys.implementation.cache_tag = None\n{FORGED_COMPILE}",
    ),
    Attack(
        "primitives/exec",
        "builtins.exec runs the payload in the place of any plugin module.",
        Refused("unverified_code", at="plugins/alpha/api.py", says="builtins.exec"),
        """
        import builtins
        genuine = exec
        def forged(code, *arguments):
            genuine(EVIL if code.co_filename.endswith('helper.py') else code, *arguments)
        builtins.exec = forged
        import plugins.alpha.api
        """,
    ),
    Attack(
        "primitives/source-to-code",
        "SourceFileLoader.source_to_code makes the payload of any plugin module.",
        Ignored(),
        """
        from importlib.machinery import SourceFileLoader
        genuine = SourceFileLoader.source_to_code
        def forged(self, data, path, *more, **options):
            return genuine(self, EVIL if path.endswith('helper.py') else data, path, *more, **options)
        SourceFileLoader.source_to_code = forged
        import plugins.alpha.api
        """,
    ),
    Attack(
        "primitives/get-code",
        "SourceFileLoader.get_code does, and exec_module with it.",
        Ignored(),
        """
        from importlib.machinery import SourceFileLoader
        genuine = SourceFileLoader.get_code
        def forged(self, name):
            return compile(EVIL, 'elsewhere.py', 'exec') if name.endswith('helper') else genuine(self, name)
        SourceFileLoader.get_code = forged
        SourceFileLoader.exec_module = lambda self, module: exec(self.get_code(module.__name__), vars(module))
        import plugins.alpha.api
        """,
    ),
    Attack(
        "primitives/source-to-code-in-place",
        "The same function is changed in place: each reference to it is to the forged one.",
        Refused("unverified_code", at="plugins/alpha/api.py", says="source_to_code"),
        """
        from importlib.machinery import SourceFileLoader
        def forged(self, data, path, *more, _optimize=-1):
            if path.endswith('helper.py'):
                data = "import os; open(os.environ['WITNESS'], 'a').write('PAYLOAD '); VALUE = 1"
            return compile(data, path, 'exec', dont_inherit=True)
        SourceFileLoader.source_to_code.__code__ = forged.__code__
        import plugins.alpha.api
        """,
    ),
    Attack(
        "primitives/bootstrap",
        "importlib's second half has another first half.",
        Ignored(),
        """
        import importlib._bootstrap as first, importlib._bootstrap_external as second, types
        def forged(function, *arguments, **options):
            if function is compile and arguments[1].endswith('helper.py'):
                arguments = (EVIL, *arguments[1:])
            return function(*arguments, **options)
        second._bootstrap = types.SimpleNamespace(**vars(first))
        second._bootstrap._call_with_frames_removed = forged
        import plugins.alpha.api
        """,
    ),
    Attack(
        "primitives/cache-from-source",
        "importlib looks for bytecode elsewhere, as instrumentation makes it.",
        Ignored(),
        """
        import importlib._bootstrap_external as external
        external.cache_from_source = lambda path, *a, **k: 'planted' if path.endswith('helper.py') else path + 'c'
        import plugins.alpha.api
        """,
        planted_elsewhere,
    ),
    Attack(
        "primitives/sorted",
        "builtins.sorted exchanges the digest of the changed file for the honest one.",
        MISMATCH,
        KNOWN
        + """
import builtins, hashlib
genuine = sorted
swap = {hashlib.sha256(evil).digest(): hashlib.sha256(good).digest()}
def forged(items, **options):
    found = genuine(items, **options)
    return [(i[0], swap.get(i[1], i[1])) if type(i) is tuple and len(i) == 2 else i for i in found]
builtins.sorted = forged
"""
        + IMPORT,
        changed,
    ),
)
