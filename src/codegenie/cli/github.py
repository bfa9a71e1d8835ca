"""Show the results of ``lock --check`` and ``diff`` on GitHub: annotations and a summary.

``action.yml`` runs it with the JSON documents that the two commands have printed. The status of the
step is that of ``lock --check``.

Threat: a runner executes every line of output that starts with ``::`` as a command, and an attacker
who proposes a change chooses names in the plugin folder. Rule: print a name only inside a command,
escaped like in the runner's own toolkit (``toolkit/packages/core/src/command.ts``).
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codegenie._start import LOCK_NAME
from codegenie.cli import output
from codegenie.files import Unreadable
from codegenie.parsers import safe_json
from codegenie.refusals.record import LOCK_KINDS
from codegenie.result import Err, Result
from codegenie.text import printable
from codegenie.writing import write_error

MAX_ANNOTATIONS = 10
"""GitHub shows at most this number of errors for one step."""

MAX_SUMMARY_BYTES = 512 * 1024
"""Half of GitHub's limit for the summary of a step."""

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_DOCUMENT_DEPTH = 8

_VERBS = {"changed": "is not", "added": "was added to", "removed": "is missing from"}


@dataclass(frozen=True)
class Finding:
    """One difference: its path, its plugin, and its description."""

    path: str
    plugin: str
    text: str


def findings(lock: Mapping[str, Any], diff: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Yield every reason why the lock is not up to date, by file if the files are known.

    Args:
        lock: the output of ``codegenie plugins lock --check --json``.
        diff: the output of ``codegenie plugins diff --json``, if it was run.
    """
    rejected = [*lock["rejections"]]
    malformed = [r for r in (diff or {}).get("rejections", ()) if r["kind"] in LOCK_KINDS]
    for rejection in (*rejected, *malformed):
        yield _of_rejection(lock, rejection)
    if malformed:
        return  # nothing is pinned, so all plugins differ for this one reason
    explained = {r["plugin"] for r in rejected if r["kind"] not in LOCK_KINDS}
    rows: Mapping[str, Any] = (diff or {}).get("plugins", {})
    differing = [(p, k) for k in ("changed", "added", "removed") for p in lock[k]]
    for plugin, kind in sorted(differing):
        if plugin not in explained:
            yield from _of_plugin(lock, plugin, kind, rows.get(plugin))
    if lock["would_change"] and not differing and not rejected:
        text = "PLUGINS.lock or PLUGINS.sha256 is not as codegenie writes it"
        yield Finding(lock["lock"], "", text)


def _of_rejection(lock: Mapping[str, Any], rejection: Mapping[str, Any]) -> Finding:
    plugin = rejection["plugin"]
    if rejection["kind"] in LOCK_KINDS:
        detail = rejection.get("detail", rejection["kind"])
        return Finding(lock["lock"], "", f"the lock is not valid: {detail}")
    path = rejection.get("offending_path") or _manifest(lock, plugin)
    why = rejection["kind"].replace("_", " ")
    detail = rejection.get("detail")
    return Finding(path, plugin, f"{why}: {detail}" if detail else why)


def _of_plugin(
    lock: Mapping[str, Any], plugin: str, kind: str, row: Mapping[str, Any] | None
) -> Iterator[Finding]:
    if row is None or not row["known"]:
        path = lock["lock"] if kind == "removed" else _manifest(lock, plugin)
        text = {
            "changed": "is not what the lock pins",
            "added": "is not in the lock",
            "removed": "is in the lock, and not there",
        }[kind]
        yield Finding(path, plugin, f"the plugin {text}")
        return
    for change, verb in _VERBS.items():
        for relative in row[change]:
            path = f"{lock['root']}/{plugin}/{relative}"
            yield Finding(path, plugin, f"{relative} {verb} what the lock pins")


def _manifest(lock: Mapping[str, Any], plugin: str) -> str:
    return f"{lock['root']}/{plugin}/plugin.yaml"


def commands(found: Sequence[Finding], lock: Mapping[str, Any], base: str) -> Iterator[str]:
    """Yield one command for the runner per finding, up to its limit."""
    shown = found if len(found) <= MAX_ANNOTATIONS else found[: MAX_ANNOTATIONS - 1]
    command = _lock_command(lock, base)
    for finding in shown:
        who = f"Plugin {finding.plugin}" if finding.plugin else "The lock"
        yield _error(
            f"{finding.text}. Review it, then run: {command}",
            file=_below(finding.path, base),
            title=f"{who} is not as it was locked" if finding.plugin else f"{who} is out of date",
        )
    if len(shown) < len(found):
        more = len(found) - len(shown)
        yield _error(f"and {more} more, in the summary of this job", title="More plugin files")


def summary(found: Sequence[Finding], lock: Mapping[str, Any], base: str) -> str:
    """Return the summary of the step in HTML, in which names are escaped."""
    if not found:
        count = len(lock["plugins"])
        return f"Plugins: all {count} match the lock.\n"
    lines = [
        "<h3>Plugins that are not as they were locked</h3>",
        "<table><tr><th>plugin</th><th>file</th><th>what</th></tr>",
    ]
    size = 0
    for number, finding in enumerate(found):
        cells = (finding.plugin, _below(finding.path, base), finding.text)
        row = "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in cells)
        size += len(row.encode("utf-8"))
        if size > MAX_SUMMARY_BYTES:
            lines.append(f"<tr><td></td><td></td><td>and {len(found) - number} more</td></tr>")
            break
        lines.append(f"<tr>{row}</tr>")
    command = html.escape(_lock_command(lock, base))
    lines += ["</table>", f"<p>Review the changes, then run <code>{command}</code></p>", ""]
    return "\n".join(lines)


def outputs(lock: Mapping[str, Any]) -> str:
    """Return the outputs of the step, one per line. Ids cannot contain a line break."""
    differing = sorted({*lock["changed"], *lock["added"], *lock["removed"]})
    up_to_date = not lock["would_change"] and not lock["rejections"]
    listed = ", ".join(safe_json.quote(plugin) for plugin in differing)
    return f"up-to-date={'true' if up_to_date else 'false'}\nplugins=[{listed}]\n"


def _error(text: str, **properties: str) -> str:
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {shown}::{_data(text)}"


def _data(text: str) -> str:
    # printable() has already escaped line breaks. These escapes are complete on their own.
    escaped = printable(text).replace("%", "%25")
    return escaped.replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _below(path: str, base: str) -> str:
    return os.path.relpath(path, base)


def _lock_command(lock: Mapping[str, Any], base: str) -> str:
    root, path = lock["root"], lock["lock"]
    elsewhere = None if path == f"{root}/{LOCK_NAME}" else _below(path, base)
    return output.plugins_command("lock", _below(root, base), elsewhere)


def _read(path: str) -> Any:
    document = _load(path)
    if isinstance(document, Err):
        raise SystemExit(printable(str(document.error)))
    return document.value


def _read_if_usable(path: str) -> Any:
    """Read an optional document. Returns None if ``diff`` has not printed one."""
    document = _load(path)
    return None if isinstance(document, Err) else document.value


def _load(path: str) -> Result[Any, Unreadable]:
    return safe_json.load(path, max_bytes=MAX_DOCUMENT_BYTES, max_depth=MAX_DOCUMENT_DEPTH)


_APPEND_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def _append(variable: str, text: str) -> None:
    """Append to a file that the runner names, without following a link."""
    path = os.environ.get(variable)
    if not path:
        return
    try:
        with os.fdopen(os.open(path, _APPEND_FLAGS, 0o600), "ab") as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise SystemExit(printable(f"{variable}: {path} {write_error(error)}")) from None


def main(arguments: Sequence[str]) -> None:
    """Run ``python -m codegenie.cli.github LOCK.json [DIFF.json]``."""
    lock = _read(arguments[0])
    diff = _read_if_usable(arguments[1]) if len(arguments) > 1 else None
    base = os.environ.get("GITHUB_WORKSPACE") or os.getcwd()  # noqa: PTH109
    found = list(findings(lock, diff))
    for command in commands(found, lock, base):
        # As bytes, because the runner reads UTF-8 and this interpreter's locale may differ.
        sys.stdout.buffer.write(f"{command}\n".encode())
    sys.stdout.flush()
    _append("GITHUB_STEP_SUMMARY", summary(found, lock, base))
    _append("GITHUB_OUTPUT", outputs(lock))


if __name__ == "__main__":
    main(sys.argv[1:])
