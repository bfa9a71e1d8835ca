"""The hosts that are tried, in the layouts that their own documentation describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.hosts.host import MARK, SITE, Folder, Host, Layout

COMFY = str(Path(__file__).with_name("comfy_like.py"))
PYTHON = "{bin}/python"

PLUGINBASE = """
from pluginbase import PluginBase
source = PluginBase(package='host_plugins').make_plugin_source(searchpath=['plugins'])
for name in source.list_plugins():
    source.load_plugin(name)
"""

YAPSY = """
from yapsy.PluginManager import PluginManager
manager = PluginManager()
manager.setPluginPlaces(['plugins'])
manager.collectPlugins()
print([info.name for info in manager.getAllPlugins()])
"""

DAGS = """
import os
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(os.environ['AIRFLOW_HOME'] + '/dags')
print(sorted(bag.dags), bag.import_errors)
"""

HERMES = """
from hermes_cli.plugins import discover_plugins
discover_plugins()
import plugins.plugin_utils
print('the package plugins of hermes-agent:', plugins.__file__)
"""

AIRFLOW = {"AIRFLOW_HOME": "{app}", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}

HOME_ASSISTANT = {
    "configuration.yaml": "greet:\n",
    "custom_components/greet/manifest.json": (
        '{"domain": "greet", "name": "Greet", "version": "1", "documentation": "",'
        ' "codeowners": [], "requirements": [], "dependencies": [],'
        ' "iot_class": "local_polling"}\n'
    ),
}

SUPYBOT_CONFIG = """\
from supybot import conf
def configure(advanced):
    conf.registerPlugin('Greet', True)
Greet = conf.registerPlugin('Greet')
"""
SUPYBOT_PLUGIN = """\
from supybot import callbacks
class Greet(callbacks.Plugin):
    '''Says hello.'''
Class = Greet
"""


def distribution(group: str, source: str, command: tuple[str, ...], **options: Any) -> Layout:
    """Return the layout of a plugin that is installed, and found by its entry point."""
    info = f"{SITE}/greet_plugin-1.0.dist-info"
    return Layout(
        "a distribution with an entry point",
        "EntryPoint.load",
        (Folder(SITE, "", "greet-plugin"),),
        f"{SITE}/greet_plugin/__init__.py",
        {
            f"{SITE}/greet_plugin/__init__.py": MARK + source,
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: greet-plugin\nVersion: 1.0\n",
            f"{info}/entry_points.txt": f"[{group}]\ngreet = greet_plugin\n",
            f"{info}/RECORD": "greet_plugin/__init__.py,,\n"
            "greet_plugin-1.0.dist-info/METADATA,,\n"
            "greet_plugin-1.0.dist-info/entry_points.txt,,\n"
            "greet_plugin-1.0.dist-info/RECORD,,\n",
        },
        command,
        f"{SITE}/greet_plugin/evil.py",
        "greet_plugin/__init__.py",
        second_runs=("SECOND",),
        **options,
    )


HOSTS = (
    Host(
        "ComfyUI's loader",
        "",
        (
            Layout(
                "a package",
                "spec_from_file_location(path, __init__.py)",
                (Folder("custom_nodes"),),
                "custom_nodes/My-Nodes.v2/__init__.py",
                {
                    "custom_nodes/My-Nodes.v2/__init__.py": MARK
                    + "from .nodes import NODE_CLASS_MAPPINGS\n",
                    "custom_nodes/My-Nodes.v2/nodes.py": "NODE_CLASS_MAPPINGS = {'A': object}\n",
                },
                (PYTHON, COMFY, "custom_nodes"),
                "custom_nodes/My-Nodes.v2/evil.py",
                "My-Nodes.v2/__init__.py",
            ),
            Layout(
                "a single file",
                "spec_from_file_location(path, file)",
                (Folder("custom_nodes"),),
                "custom_nodes/tool.py",
                {"custom_nodes/tool.py": MARK + "NODE_CLASS_MAPPINGS = {'A': object}\n"},
                (PYTHON, COMFY, "custom_nodes"),
                "custom_nodes/evil.py",
                "tool.py",
            ),
        ),
        is_light=True,
    ),
    Host(
        "pluginbase",
        "pluginbase",
        (
            Layout(
                "single files in a search path",
                "__import__ with the search path as __path__",
                (Folder("plugins"),),
                "plugins/greet.py",
                {"plugins/greet.py": MARK},
                (PYTHON, "-c", PLUGINBASE),
                "plugins/evil.py",
                "greet.py",
            ),
        ),
        is_light=True,
    ),
    Host(
        "yapsy",
        "Yapsy",
        (
            Layout(
                "a module and its .yapsy-plugin",
                "spec_from_file_location(yapsy_loaded_plugin_...)",
                (Folder("plugins"),),
                "plugins/greet.py",
                {
                    "plugins/greet.yapsy-plugin": "[Core]\nName = Greet\nModule = greet\n",
                    "plugins/greet.py": MARK
                    + "from yapsy.IPlugin import IPlugin\nclass Greet(IPlugin):\n    pass\n",
                },
                (PYTHON, "-c", YAPSY),
                "plugins/evil.py",
                "greet.py",
            ),
        ),
        python="3.11",
    ),
    Host(
        "MkDocs",
        "mkdocs",
        (
            Layout(
                "hooks",
                "spec_from_file_location(path)",
                (Folder("hooks"),),
                "hooks/greet.py",
                {
                    "mkdocs.yml": "site_name: x\nhooks: [hooks/greet.py]\n",
                    "docs/index.md": "# Hello\n",
                    "hooks/greet.py": MARK,
                },
                ("{bin}/mkdocs", "build", "-q"),
                "hooks/evil.py",
                "greet.py",
            ),
        ),
    ),
    Host(
        "Datasette",
        "datasette",
        (
            Layout(
                "--plugins-dir",
                "exec(compile(source, path)), importlib.resources by name",
                (Folder("plugins", ""),),
                "plugins/greet.py",
                {"plugins/greet.py": MARK},
                ("{bin}/datasette", "--plugins-dir", "plugins", "--get", "/-/versions.json"),
                "plugins/evil.py",
                "greet.py",
                reads_bytecode=False,
                second_runs=("INTACT", "SECOND"),
            ),
            distribution(
                "datasette",
                "from datasette import hookimpl\n",
                ("{bin}/datasette", "--get", "/-/versions.json"),
            ),
        ),
    ),
    Host(
        "beets",
        "beets",
        (
            Layout(
                "pluginpath",
                "import_module(beetsplug.x) with an extended __path__",
                (Folder("plugins"),),
                "plugins/greet.py",
                {
                    "config.yaml": "pluginpath: [plugins]\nplugins: [greet]\nlibrary: lib.db\n",
                    "plugins/greet.py": MARK
                    + "from beets.plugins import BeetsPlugin\n"
                    + "class Greet(BeetsPlugin):\n    pass\n",
                },
                ("{bin}/beet", "version"),
                "plugins/evil.py",
                "greet.py",
                {"BEETSDIR": "{app}"},
            ),
        ),
    ),
    Host(
        "Pelican",
        "pelican",
        (
            Layout(
                "PLUGIN_PATHS",
                "PathFinder.find_spec(name, PLUGIN_PATHS)",
                (Folder("plugins"),),
                "plugins/greet/__init__.py",
                {
                    "pelicanconf.py": "PLUGIN_PATHS = ['plugins']\nPLUGINS = ['greet']\n",
                    "content/page.txt": "",
                    "plugins/greet/__init__.py": MARK + "def register():\n    pass\n",
                },
                ("{bin}/pelican", "content", "-s", "pelicanconf.py", "-o", "out", "-q"),
                "plugins/greet/evil.py",
                "greet/__init__.py",
            ),
        ),
    ),
    Host(
        "Volatility 3",
        "volatility3",
        (
            Layout(
                "--plugin-dirs",
                "import_module(volatility3.plugins.x) with an extended __path__",
                (Folder("plugins"),),
                "plugins/greet.py",
                {
                    "plugins/greet.py": MARK
                    + "from volatility3.framework import interfaces, renderers\n"
                    + "class Greet(interfaces.plugins.PluginInterface):\n"
                    + "    _required_framework_version = (2, 0, 0)\n"
                    + "    def run(self):\n"
                    + "        return renderers.TreeGrid([('Word', str)], iter(()))\n"
                },
                ("{bin}/vol", "-q", "-p", "plugins", "greet.Greet"),
                "plugins/evil.py",
                "greet.py",
            ),
        ),
    ),
    Host(
        "Sopel",
        "sopel",
        (
            Layout(
                "plugins of the configuration folder",
                "spec_from_file_location(name, path)",
                (Folder("plugins"),),
                "plugins/greet.py",
                {
                    "default.cfg": "[core]\nowner=me\nhost=localhost\nenable=greet\n",
                    "plugins/greet.py": MARK
                    + "from sopel import plugin\n"
                    + "@plugin.command('hi')\ndef hi(bot, trigger):\n    pass\n",
                },
                ("{bin}/sopel-plugins", "show", "greet"),
                "plugins/evil.py",
                "greet.py",
                {"SOPEL_CONFIG_DIR": "{app}"},
            ),
        ),
    ),
    Host(
        "Errbot",
        "errbot",
        (
            Layout(
                "BOT_EXTRA_PLUGIN_DIR",
                "spec_from_file_location(errbot.plugins.X)",
                (Folder("plugins"),),
                "plugins/err-greet/greet.py",
                {
                    "config.py": "import logging, os\n"
                    "BACKEND = 'Text'\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
                    "BOT_DATA_DIR = HERE + '/data'\nBOT_EXTRA_PLUGIN_DIR = HERE + '/plugins'\n"
                    "BOT_LOG_FILE = HERE + '/errbot.log'\nBOT_LOG_LEVEL = logging.INFO\n"
                    "BOT_ADMINS = ('@me',)\n",
                    "data/empty": "",
                    "plugins/err-greet/greet.plug": "[Core]\nName = Greet\nModule = greet\n"
                    "[Python]\nVersion = 3\n[Documentation]\nDescription = Greets.\n",
                    "plugins/err-greet/greet.py": MARK
                    + "from errbot import BotPlugin, botcmd\n"
                    + "class Greet(BotPlugin):\n    @botcmd\n"
                    + "    def hi(self, msg, args):\n        return 'hello'\n",
                },
                ("{bin}/errbot",),
                "plugins/err-greet/evil.py",
                "greet.py",
                input="!hi\n",
            ),
        ),
    ),
    Host(
        "Limnoria",
        "limnoria",
        (
            Layout(
                "a plugin folder",
                "PathFinder.find_spec(name, directories)",
                (Folder("plugins"),),
                "plugins/Greet/__init__.py",
                {
                    "plugins/Greet/__init__.py": "'''Says hello.'''\n"
                    + MARK
                    + "from . import config, plugin\nClass = plugin.Class\n"
                    + "configure = config.configure\n",
                    "plugins/Greet/config.py": SUPYBOT_CONFIG,
                    "plugins/Greet/plugin.py": SUPYBOT_PLUGIN,
                },
                ("{bin}/limnoria-plugin-doc", "--plugins-dir", "plugins", "Greet"),
                "plugins/Greet/evil.py",
                "Greet/__init__.py",
            ),
        ),
    ),
    Host(
        "Ansible",
        "ansible-core",
        (
            Layout(
                "a collection",
                "its own finder and loader, exec(code)",
                (Folder("collections/ansible_collections"),),
                "collections/ansible_collections/acme/tools/plugins/filter/shout.py",
                {
                    "collections/ansible_collections/acme/tools/galaxy.yml": (
                        "namespace: acme\nname: tools\nversion: 1.0.0\n"
                    ),
                    "collections/ansible_collections/acme/tools/plugins/filter/shout.py": MARK
                    + "class FilterModule:\n"
                    + "    def filters(self):\n        return {'shout': str.upper}\n",
                },
                (
                    "{bin}/ansible",
                    "localhost",
                    "-m",
                    "ansible.builtin.debug",
                    "-a",
                    "msg={{ 'hi' | acme.tools.shout }}",
                ),
                "collections/ansible_collections/acme/tools/plugins/filter/evil.py",
                "ansible_collections/acme/tools/plugins/filter/shout.py",
                {"ANSIBLE_COLLECTIONS_PATH": "{app}/collections"},
                # A task runs in a process of its own, whose standard error is /dev/null.
                exit_status=1,
                exit_line="[ERROR]: A worker was found in a dead state",
            ),
        ),
    ),
    Host(
        "Airflow",
        "apache-airflow",
        (
            Layout(
                "plugins/, with dags/ as a second folder",
                "SourceFileLoader(stem, path)",
                (Folder("plugins"), Folder("dags")),
                "plugins/greet.py",
                {
                    "dags/hello.py": "from airflow.sdk import DAG\n"
                    "with DAG('hello', schedule=None):\n    pass\n",
                    "plugins/greet.py": MARK
                    + "from airflow.plugins_manager import AirflowPlugin\n"
                    + "class Greet(AirflowPlugin):\n    name = 'greet'\n",
                },
                ("{bin}/airflow", "plugins"),
                "plugins/evil.py",
                "greet.py",
                AIRFLOW,
            ),
            Layout(
                "dags/, with plugins/ as a second folder",
                "SourceFileLoader(unique name, path)",
                (Folder("plugins"), Folder("dags")),
                "dags/hello.py",
                {
                    "dags/hello.py": MARK
                    + "from airflow.sdk import DAG\n"
                    + "with DAG('hello', schedule=None):\n    pass\n",
                    "plugins/greet.py": "from airflow.plugins_manager import AirflowPlugin\n"
                    "class Greet(AirflowPlugin):\n    name = 'greet'\n",
                },
                (PYTHON, "-c", DAGS),
                "dags/evil.py",
                "hello.py",
                AIRFLOW,
            ),
        ),
    ),
    Host(
        "Home Assistant",
        "homeassistant",
        (
            Layout(
                "custom_components",
                "import_module(custom_components.x)",
                (Folder("custom_components", "custom_components"),),
                "custom_components/greet/__init__.py",
                {
                    **HOME_ASSISTANT,
                    "custom_components/greet/__init__.py": MARK
                    + "async def async_setup(hass, config):\n    return True\n",
                },
                ("{bin}/hass", "--script", "check_config", "-c", "{app}"),
                "custom_components/greet/evil.py",
                "custom_components/greet/__init__.py",
                second_runs=("SECOND",),
            ),
            Layout(
                "custom_components with __init__.py",
                "import_module(custom_components.x)",
                (Folder("custom_components", "custom_components"),),
                "custom_components/greet/__init__.py",
                {
                    **HOME_ASSISTANT,
                    "custom_components/__init__.py": "",
                    "custom_components/greet/__init__.py": MARK
                    + "async def async_setup(hass, config):\n    return True\n",
                },
                ("{bin}/hass", "--script", "check_config", "-c", "{app}"),
                "custom_components/greet/evil.py",
                "custom_components/greet/__init__.py",
            ),
        ),
    ),
    Host(
        "llm",
        "llm",
        (
            distribution(
                "llm",
                "import llm\n\n@llm.hookimpl\ndef register_commands(cli):\n    pass\n",
                ("{bin}/llm", "plugins"),
                environment={"LLM_USER_PATH": "{app}"},
            ),
        ),
    ),
    Host(
        "hermes-agent",
        "hermes-agent",
        (
            Layout(
                "plugins of the user, beside its own package plugins",
                "spec_from_file_location(hermes_plugins.x)",
                (Folder("home/plugins"),),
                "home/plugins/greet/__init__.py",
                {
                    "home/config.yaml": "plugins:\n  enabled: [greet]\n",
                    "home/plugins/greet/plugin.yaml": "name: greet\nversion: 1.0.0\n"
                    "description: Greets.\n",
                    "home/plugins/greet/__init__.py": MARK + "def register(ctx):\n    pass\n",
                },
                (PYTHON, "-c", HERMES),
                "home/plugins/greet/evil.py",
                "hermes_plugins/greet/__init__.py",
                {"HERMES_HOME": "{app}/home"},
            ),
        ),
    ),
)
