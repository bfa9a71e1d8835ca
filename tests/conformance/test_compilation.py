"""A plugin is compiled as without the guard: its encoding and its flags, with none of another
module."""

from __future__ import annotations
import __future__

import json
import sys

import pytest

from tests.conformance.children import both, differing, printed
from tests.conformance.test_module_attributes import FLAGS
from tests.fixtures.trees import PLUGIN, WITNESS, Application

# --- encodings ----------------------------------------------------------------------------------

TEXT = "TEXT = '\xe9\xdf\xfc'\n"
SOURCES: dict[str, bytes] = {
    "latin_1": b"# -*- coding: latin-1 -*-\n" + TEXT.encode("latin-1"),
    "on_line_two": b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nTEXT = '\x80'\n",
    "on_line_three": b"#\n#\n# coding: latin-1\nTEXT = '\xe9'\n",
    "second_line_is_code": b"x = 1\n# coding: latin-1\nTEXT = '\xe9'\n",
    "koi8_r": "# coding: koi8-r\nTEXT = '\u0436'\n".encode("koi8-r"),
    "shift_jis": "# coding: shift_jis\nTEXT = '\u8868'\n".encode("shift_jis"),  # holds a backslash
    "euc_jp": "# coding: euc-jp\nTEXT = '\u65e5\u672c'\n".encode("euc-jp"),
    "utf_7": b"# coding: utf-7\nTEXT = '+AOk-'\n",
    "utf_8": TEXT.encode(),
    "utf_8_cookie": b"# coding: utf8\n" + TEXT.encode(),
    "bom": b"\xef\xbb\xbf" + TEXT.encode(),
    "bom_and_cookie": b"\xef\xbb\xbf# coding: utf-8\n" + TEXT.encode(),
    "bom_and_other_cookie": b"\xef\xbb\xbf# coding: latin-1\n" + TEXT.encode(),
    "two_boms": b"\xef\xbb\xbf\xef\xbb\xbf" + TEXT.encode(),
    "utf_16": TEXT.encode("utf-16"),
    "invalid": b"TEXT = '\xff'\n",
    "invalid_in_a_comment": b"TEXT = ''\n# \xff\n",
    "invalid_in_ascii": b"# coding: ascii\n" + TEXT.encode(),
    "unknown": b"# coding: no-such-encoding\nTEXT = ''\n",
    "not_for_text": b"# coding: hex\nTEXT = ''\n",
    "null": b"TEXT = '\0'\n",
    "crlf": b"TEXT = '''a\r\nb'''\r\n",
    "cr": b"TEXT = '''a\rb'''\r",
    "mixed": b"TEXT = '''a\nb\r\nc\rd'''\n",
    "form_feed": b"\x0cTEXT = 'a'\n\x0c\n",
    "end_of_file_mark": b"TEXT = 'a'\n\x1a",
    "no_newline": b"TEXT = 'a'",
    "line_continued_at_the_end": b"TEXT = 'a'\\",
    "empty": b"",
    "escapes": b"TEXT = '\\d'\n",
    "tabs": b"if 1:\n        x = 1\n\tTEXT = ''\n",
    "identifiers": "\xb5 = 1\nTEXT = str('\u03bc' in vars())\n".encode(),
    "surrogates": b"TEXT = '\\ud800'\n",
}

LOAD = f"""
import importlib, importlib.util, inspect, json, linecache

def attempt(function):
    try:
        return ascii(function())
    except SyntaxError as error:
        return [type(error).__name__, error.msg, error.filename, error.lineno, error.offset,
                error.text]
    except Exception as error:
        return [type(error).__name__, str(error)]

said = {{}}
for name in {list(SOURCES)}:
    full = "plugins.alpha." + name
    loader = importlib.util.find_spec(full).loader
    path = loader.get_filename(full)
    said[name] = {{
        "text": attempt(lambda: getattr(importlib.import_module(full), "TEXT", None)),
        "source": attempt(lambda: loader.get_source(full)),
        "inspect": attempt(lambda: inspect.getsource(importlib.import_module(full))),
        "lines": attempt(lambda: linecache.getlines(path)),
    }}
print(json.dumps(said))
"""


@pytest.mark.parametrize("flags", [[], ["-W", "error"]], ids=["plain", "warnings are errors"])
def test_every_encoding_is_read_or_refused_as_without_the_guard(
    application: Application, flags: list[str]
) -> None:
    application.add_plugin(PLUGIN, {f"{name}.py": data for name, data in SOURCES.items()})
    application.lock()
    quiet = flags or ["-W", "ignore"]  # what is said of a bad escape names the file, as it should
    guarded, plain = both(application, LOAD, quiet)
    for said in (guarded, plain):
        del said["not_for_text"]["lines"]  # a LookupError that CPython's linecache does not expect
    assert guarded.keys() == set(SOURCES)
    assert differing(guarded, plain) == {}
    text = {name: said["text"] for name, said in plain.items()}
    assert text["latin_1"] == text["bom"] == r"'\xe9\xdf\xfc'"
    assert text["invalid"][0] == text["unknown"][0] == "SyntaxError"
    assert (text["escapes"][0] == "SyntaxError") is bool(flags)


# --- -O and -OO ---------------------------------------------------------------------------------

OPTIMIZED = '''\
"""Of the module."""
import os

def f():
    """Of the function."""

class C:
    """Of the class."""

try:
    assert False, "asserts are executed"
    ASSERTS = False
except AssertionError:
    ASSERTS = True

if __debug__:
    DEBUG = True
else:
    DEBUG = False

print = [ASSERTS, DEBUG, __debug__, __doc__, f.__doc__, C.__doc__]
'''


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_asserts_and_docstrings_go_as_the_flags_say(
    application: Application, flags: list[str]
) -> None:
    application.add_plugin(PLUGIN, {"optimized.py": OPTIMIZED})
    application.lock()
    script = "import json, plugins.alpha.optimized as m; json.dump(m.print, sys.stdout)"
    guarded, plain = both(application, script, flags)
    kept = "-O" not in flags and "-OO" not in flags
    documents = ["Of the module.", "Of the function.", "Of the class."]
    assert guarded == plain == [kept] * 3 + ([None] * 3 if "-OO" in flags else documents)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_changed_plugin_is_refused_whatever_the_flags_say(
    application: Application, flags: list[str]
) -> None:
    """No check of the guard is an assert."""
    application.write("alpha/api.py", WITNESS)
    script = f"guard = codegenie.plugins.guard\nguard.install(root={str(application.root)!r})\n"
    imports = "import plugins.alpha.api"
    plain = f"import sys; sys.path.insert(0, {str(application.folder)!r})\n{imports}"
    assert application.run(plain, guarded=False, flags=["-B", *flags]).executed
    outcome = application.run(f"{script}{imports}", report=True, flags=flags)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert outcome.executed == ()


# --- __future__ ---------------------------------------------------------------------------------

# Whatever is in force changes what this does: whether an annotation is evaluated, how unequal is
# spelled, whether a division is exact and a generator ends with StopIteration.
BODY = """
EVALUATED = []

def mark(value):
    EVALUATED.append(value)
    return int

x: mark("variable") = 1

def f(a: mark("argument")) -> mark("result"):
    return a

class C:
    y: mark("attribute") = 1

def spelled(operator):
    try:
        return eval(f"1 {operator} 2")
    except SyntaxError:
        return "not understood"

SEEN = [EVALUATED, repr(f.__annotations__), 1 / 2, spelled("!="), spelled("<>"),
        f.__code__.co_flags]
"""
FUTURES = {name: f"from __future__ import {name}\n{BODY}" for name in __future__.all_feature_names}
MODULES = {"none": BODY, "all": f"from __future__ import {', '.join(FUTURES)}\n{BODY}", **FUTURES}

SEEN = f"""
import importlib, json
seen = {{}}
for name in {list(MODULES)}:
    module = importlib.import_module("plugins.alpha.with_" + name)
    code = module.__loader__.get_code(module.__name__)
    seen[name] = [module.SEEN, code.co_flags]
print(json.dumps(seen))
"""
# Since Python 3.14 an annotation is evaluated when it is read (PEP 649): of the function.
EVALUATED = ["argument", "result"]
if sys.version_info < (3, 14):
    EVALUATED = ["variable", "argument", "result", "attribute"]


@pytest.fixture
def futures(application: Application) -> Application:
    application.add_plugin(PLUGIN, {f"with_{name}.py": body for name, body in MODULES.items()})
    application.lock()
    return application


def compile_ahead(application: Application) -> None:
    """Write the verified bytecode of every plugin."""
    done = application.start(
        [sys.executable, "-m", "codegenie", "plugins", "compile", str(application.root)]
    )
    assert done.status == 0, done


@pytest.mark.parametrize("ahead", [False, True], ids=["from source", "compiled ahead"])
def test_a_plugin_has_the_futures_that_it_asks_for_and_no_others(
    futures: Application, ahead: bool
) -> None:
    if ahead:
        compile_ahead(futures)
    guarded, plain = both(futures, SEEN)
    assert differing(guarded, plain) == {}
    assert guarded["none"][0][0] == EVALUATED
    assert guarded["annotations"][0][0] == []
    assert guarded["none"][0][3:5] == [True, "not understood"]
    assert guarded["barry_as_FLUFL"][0][3:5] == ["not understood", True]


def test_the_futures_of_the_importer_do_not_count(futures: Application) -> None:
    everything = f"from __future__ import {', '.join(FUTURES)}\n"
    code = (
        everything
        + "import sys; sys.path[:] = [entry for entry in sys.path if entry]\n"
        + f"import codegenie.plugins.guard as g; g.install(root={str(futures.root)!r})\n"
        + SEEN
    )
    outcome = futures.run(code, guarded=False)
    assert (outcome.status, outcome.stderr) == (0, "")
    plain = printed(futures, SEEN, guarded=False)
    assert differing(json.loads(outcome.stdout), plain) == {}


LEAK = """
from __future__ import annotations

def source_to_code(self, data, path, *more, _optimization=-1):
    return compile(data, path, "exec", optimize=_optimization)  # inherits what is in force here

import codegenie.plugins.guard as guard
from codegenie._enforce.loaders import VerifiedSourceLoader
VerifiedSourceLoader.source_to_code = source_to_code
guard.install(root={root!r}, strict=False)  # strict mode refuses what that compiles
"""


def test_a_leak_would_be_seen(futures: Application) -> None:
    """A loader that forgets ``dont_inherit`` gives plugins the futures of its own module."""
    outcome = futures.run(LEAK.format(root=str(futures.root)) + SEEN, guarded=False)
    assert (outcome.status, outcome.stderr) == (0, "")
    seen = json.loads(outcome.stdout)
    plain = printed(futures, SEEN, guarded=False)
    assert "/none" in differing(seen, plain)
    assert seen["none"][0][0] == []


WAYS = {
    "import statement": "import plugins.alpha.api",
    "reload": (
        "import importlib, plugins.alpha.api as m\n"
        "open(os.environ['WITNESS'], 'w').close()\nimportlib.reload(m)"
    ),
    "runpy": "import runpy; runpy.run_module('plugins.alpha.api')",
    "lazy": (
        "import importlib.util as u; s = u.find_spec('plugins.alpha.api')\n"
        "s.loader = u.LazyLoader(s.loader); m = sys.modules[s.name] = u.module_from_spec(s)\n"
        "s.loader.exec_module(m); m.anything_at_all = m.mark"
    ),
    "load_plugins": (
        "from codegenie.plugins.loader import load_plugins; from pathlib import Path\n"
        "load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap()"
    ),
}


@pytest.mark.parametrize("ahead", [False, True], ids=["from source", "compiled ahead"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_on_every_way_annotations_are_evaluated(
    application: Application, way: str, ahead: bool
) -> None:
    """Modules of the guard have ``annotations`` in force; the effect shows that plugins do not."""
    effect = (
        "import os\ndef mark(text):\n    with open(os.environ['WITNESS'], 'a') as f:\n"
        "        f.write(text + '\\n')\ndef f(a: mark('argument')) -> mark('result'): pass\n"
        "f.__annotations__\n"  # since Python 3.14 they are evaluated here
    )
    application.add_plugin(PLUGIN, {"api.py": effect})
    application.lock()
    if ahead:
        compile_ahead(application)
    ask = "print(codegenie.plugins.guard.status().bytecode['alpha']['from_pack'] > 0)"
    outcome = application.run(f"import os, sys\n{way}\n{ask}")
    assert (outcome.status, outcome.executed) == (0, ("argument", "result")), outcome
    assert outcome.stdout == f"{ahead}\n"
