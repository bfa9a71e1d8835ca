"""The file that is used is not the file that was checked."""

from __future__ import annotations

from tests.attacks.attack import PAYLOAD, Attack, Ignored, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch", says="changed   helper.py")


def with_data(application: Application) -> None:
    """Prepare a plugin with a data file that holds code, as templates and migrations do."""
    application.write("alpha/__init__.py", "")
    application.write("alpha/data.txt", "VALUE = 42\n")
    application.lock()


def with_machine_code(application: Application) -> None:
    """Prepare an extension module that is locked, and another one beside the plugin folder."""
    application.write(f"alpha/extra{SUFFIX}", b"\x7fELF, and nothing that could be loaded")
    application.lock()
    (application.folder / "evil.so").write_bytes(machine_code())


def hard_link(application: Application) -> None:
    """Prepare a locked file that has a second name where the attacker can write."""
    outside = application.folder / "outside.py"
    outside.write_bytes((application.plugin / "helper.py").read_bytes())
    (application.plugin / "helper.py").unlink()
    (application.plugin / "helper.py").hardlink_to(outside)


def another_tree(application: Application) -> None:
    """Prepare a whole plugin folder with a valid lock, which was never reviewed."""
    evil = application.folder / "evil"
    evil.mkdir()
    other = Application(evil)
    other.write("alpha/helper.py", PAYLOAD + "VALUE = 1\n")
    other.lock()


def falls_back(application: Application) -> None:
    fallback = "".join(f"        {line}\n" for line in PAYLOAD.splitlines())
    application.write(
        "alpha/api.py",
        "def check():\n    try:\n        from .policy import deny\n"
        f"    except ModuleNotFoundError:\n{fallback}",
    )
    application.write("alpha/policy.py", "def deny():\n    return True\n")
    application.lock()


def after_the_check(change: str, use: str = "import plugins.alpha.helper") -> str:
    return f"import os, pathlib, plugins.alpha\n{change}\n{use}"


OVERWRITTEN = "pathlib.Path('plugins/alpha/helper.py').write_text(EVIL)"
DATA_CHANGED = "pathlib.Path('plugins/alpha/data.txt').write_text(PAYLOAD)"
# Of a file that has grown one byte more is read than was verified: enough to see that it differs.
DATA_REFUSED = Refused("integrity_mismatch", says="changed   data.txt", tree_as_it_is=False)

ATTACKS = (
    Attack(
        "timing/before-its-import",
        "A module changes between the check and its import.",
        MISMATCH,
        after_the_check(OVERWRITTEN),
    ),
    Attack(
        "timing/same-size-and-time",
        "It changes in place and keeps its size and time.",
        Refused("integrity_mismatch", says="changed   api.py"),
        after_the_check(
            "p = pathlib.Path('plugins/alpha/api.py'); s = p.stat()\n"
            "p.write_text(PAYLOAD.ljust(s.st_size)); os.utime(p, ns=(s.st_atime_ns, s.st_mtime_ns))",
            "import plugins.alpha.api",
        ),
    ),
    Attack(
        "timing/reload",
        "It changes after its import and is reloaded.",
        MISMATCH,
        after_the_check(
            f"import importlib, plugins.alpha.helper\n{OVERWRITTEN}",
            "importlib.reload(plugins.alpha.helper)",
        ),
    ),
    Attack(
        "timing/run-module",
        "It changes and is run as python -m does it.",
        Refused("integrity_mismatch", says="changed   helper.py", within="ImportError"),
        after_the_check(OVERWRITTEN, "import runpy; runpy.run_module('plugins.alpha.helper')"),
    ),
    Attack(
        "timing/lock-rewritten",
        "It changes, and the lock with it.",
        MISMATCH,
        """
        import hashlib, json, pathlib, plugins.alpha
        root = pathlib.Path('plugins')
        (root / 'alpha/helper.py').write_text(EVIL)
        files = sorted(p for p in (root / 'alpha').iterdir() if p.is_file())
        digests = [(hashlib.sha256(p.read_bytes()).hexdigest(), p.name) for p in files]
        lines = ''.join(f'{digest}  {name}\\n' for digest, name in digests)
        lock = {'alpha': hashlib.sha256(lines.encode()).hexdigest()}
        (root / 'PLUGINS.lock').write_text(json.dumps(lock))
        import plugins.alpha.helper
        """,
    ),
    Attack(
        "timing/folder-exchanged",
        "The whole plugin folder is exchanged for another valid one.",
        MISMATCH,
        """
        import os, plugins.alpha
        os.rename('plugins', 'moved')
        os.rename('evil/plugins', 'plugins')
        import plugins.alpha.helper
        """,
        another_tree,
    ),
    Attack(
        "timing/folder-made-a-link",
        "The plugin's folder is exchanged for a link to a changed copy.",
        MISMATCH,
        """
        import os, pathlib, plugins.alpha
        os.rename('plugins/alpha', 'moved')
        pathlib.Path('moved/helper.py').write_text(EVIL)
        os.symlink('../moved', 'plugins/alpha')
        import plugins.alpha.helper
        """,
    ),
    Attack(
        "timing/file-made-a-link",
        "A module is exchanged for a link.",
        Refused("symlink_escape", at="plugins/alpha/helper.py"),
        after_the_check(
            "pathlib.Path('outside.py').write_text(EVIL)\n"
            "os.unlink('plugins/alpha/helper.py')\n"
            "os.symlink('../../outside.py', 'plugins/alpha/helper.py')"
        ),
    ),
    Attack(
        "timing/hard-link",
        "A module is written to through a second name outside the plugin folder.",
        MISMATCH,
        after_the_check("pathlib.Path('outside.py').write_text(EVIL)"),
        hard_link,
    ),
    Attack(
        "timing/removed",
        "A module is removed that the plugin imports late, and can do without.",
        Refused("integrity_mismatch", says="removed   policy.py"),
        after_the_check(
            "import plugins.alpha.api\nos.unlink('plugins/alpha/policy.py')",
            "plugins.alpha.api.check()",
        ),
        falls_back,
    ),
    Attack(
        "timing/racing-thread",
        "A thread exchanges a module all the time while it is imported over and over.",
        MISMATCH,
        """
        import importlib, os, pathlib, sys, threading, plugins.alpha
        target = 'plugins/alpha/helper.py'
        good = pathlib.Path(target).read_bytes()
        done = threading.Event()

        def exchange():
            while not done.is_set():
                for data in (EVIL.encode(), good):
                    pathlib.Path('new').write_bytes(data)
                    os.replace('new', target)

        def attempt():
            sys.modules.pop('plugins.alpha.helper', None)
            importlib.invalidate_caches()
            assert importlib.import_module('plugins.alpha.helper').VALUE == 42

        thread = threading.Thread(target=exchange)
        thread.start()
        try:
            for _ in range(300):
                try:
                    attempt()
                except ImportError as error:
                    if error.refusal.kind != 'integrity_mismatch':
                        raise
        finally:
            done.set()
            thread.join()
        # The race may end either way; this round cannot.
        pathlib.Path(target).write_text(EVIL)
        attempt()
        """,
    ),
    Attack(
        "timing/grown",
        "A module grows to 4 GiB: no more of it is read than was verified.",
        Refused("integrity_mismatch", says="changed   helper.py", tree_as_it_is=False),
        """
        import importlib, os, pathlib, resource, sys, plugins.alpha
        # Without the guard Python would read it all.
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        pathlib.Path('plugins/alpha/helper.py').write_text(EVIL)
        try:
            import plugins.alpha.helper
        except ImportError:
            pass
        os.truncate('plugins/alpha/helper.py', 4 << 30)
        sys.modules.pop('plugins.alpha.helper', None)
        import plugins.alpha.helper
        """,
    ),
    Attack(
        "timing/extension",
        "An extension module is exchanged.",
        Refused("integrity_mismatch", says=f"changed   extra{SUFFIX}", tree_as_it_is=False),
        after_the_check(
            f"os.replace('evil.so', 'plugins/alpha/extra{SUFFIX}')", "import plugins.alpha.extra"
        ),
        with_machine_code,
        needs=A_COMPILER,
    ),
    Attack(
        "timing/get-data",
        "A data file changes before pkgutil.get_data reads it.",
        DATA_REFUSED,
        after_the_check(
            DATA_CHANGED, "import pkgutil; exec(pkgutil.get_data('plugins.alpha', 'data.txt'))"
        ),
        with_data,
    ),
    Attack(
        "timing/resource",
        "A data file changes before importlib.resources reads it.",
        DATA_REFUSED,
        after_the_check(
            DATA_CHANGED,
            "import importlib.resources as r\n"
            "exec(r.files('plugins.alpha').joinpath('data.txt').read_bytes())",
        ),
        with_data,
    ),
    Attack(
        "timing/loader-get-data",
        "A data file changes before a loader reads it.",
        DATA_REFUSED,
        after_the_check(
            DATA_CHANGED,
            "loader = plugins.alpha.__loader__\n"
            "exec(loader.get_data(plugins.alpha.__path__[0] + '/data.txt'))",
        ),
        with_data,
    ),
    Attack(
        "timing/data-made-a-fifo",
        "A data file is exchanged for a FIFO that an attacker writes to.",
        Refused("unhashable_tree", at="plugins/alpha/data.txt", says="FIFO"),
        after_the_check(
            "import contextlib, threading\n"
            "os.unlink('plugins/alpha/data.txt'); os.mkfifo('plugins/alpha/data.txt')\n"
            "def feed():\n"
            "    # A report of a reader that left would abort an interpreter that is ending.\n"
            "    with contextlib.suppress(BrokenPipeError):\n"
            "        with open('plugins/alpha/data.txt', 'w') as file:\n"
            "            file.write(PAYLOAD)\n"
            "threading.Thread(target=feed, daemon=True).start()",
            "import pkgutil; exec(pkgutil.get_data('plugins.alpha', 'data.txt'))",
        ),
        with_data,
    ),
    Attack(
        "timing/source-shown",
        "A module changes before inspect shows its source.",
        Ignored("plugins.alpha.api"),
        """
        import inspect, pathlib, plugins.alpha.api as api
        assert 'return helper.VALUE' in inspect.getsource(api.answer)
        pathlib.Path('plugins/alpha/api.py').write_text('#\\n' * 3 + f'def answer():\\n    exec({PAYLOAD!r})\\n')
        inspect.linecache.checkcache()
        try:
            shown = inspect.getsource(api)
        except OSError as error:
            assert str(error) == 'could not get source code', error
        else:
            exec(shown)
            answer()
        """,
    ),
)
