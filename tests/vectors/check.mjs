// The vectors, checked by an implementation that shares nothing with the project.
//
//     node tests/vectors/check.mjs [FOLDER]
//
// It reads trees.json, locks.json and sidecars.json from FOLDER (default: where this file is) and
// works on what they describe, in memory: nothing is made on the disk. manifests.json needs a parser
// of YAML, which Node does not have.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const folder = process.argv[2] ?? dirname(fileURLToPath(import.meta.url));
const load = (name) => JSON.parse(readFileSync(join(folder, name), "utf8")).cases;
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function contents(described) {
  if (typeof described === "string") return Buffer.from(described, "base64");
  if (Array.isArray(described)) return Buffer.concat(described.map(contents));
  return Buffer.concat(Array(described.times).fill(contents(described.base64)));
}

// --- trees ---------------------------------------------------------------------------------------

const MAX_DEPTH = 128;

class Refused {
  constructor(kind, path) {
    this.kind = kind;
    this.path = path; // bytes
  }
}

function treeDigest(digests) {
  const lines = Object.entries(digests).map(([path, digest]) => [Buffer.from(path), digest]);
  lines.sort(([one], [other]) => Buffer.compare(one, other));
  return sha256(lines.map(([path, digest]) => `${digest}  ${path}\n`).join(""));
}

// JavaScript has no case folding. To lower, upper and lower case, character by character, makes the
// same characters equal, but for the dotless i, whose capital is an ordinary I.
function fold(name) {
  const folded = [...name.normalize("NFC")].map((c) =>
    c === "\u0131" ? c : c.toLowerCase().toUpperCase().toLowerCase(),
  );
  return folded.join("").normalize("NFC");
}

// Entries by path, as a listing of the disk would give them: [bytes of the path, what it is].
function entriesOf(test) {
  const found = [];
  for (const [path, data] of Object.entries({ ...test.files, ...test.large }))
    found.push([Buffer.from(path), { data: contents(data) }]);
  for (const { path, content } of test.raw ?? [])
    found.push([contents(path), { data: contents(content) }]);
  for (const [path, kind] of Object.entries(test.special ?? {})) found.push([Buffer.from(path), kind]);
  return found;
}

// A tree of maps, {name in latin1 (a byte each): entry}, as folders are.
function folderOf(entries) {
  const root = new Map();
  for (const [path, entry] of entries) {
    const names = path.toString("latin1").split("/");
    const last = names.pop();
    let at = root;
    for (const name of names) {
      if (!at.has(name)) at.set(name, new Map());
      at = at.get(name);
    }
    at.set(last, entry.folder ? (at.get(last) ?? new Map()) : entry);
  }
  return root;
}

function walk(entries, prefix, depth, digests) {
  const seen = new Set();
  for (const [raw, entry] of entries) {
    const bytes = Buffer.concat([prefix, Buffer.from(raw, "latin1")]);
    const refuse = (kind) => {
      throw new Refused(kind, bytes);
    };
    let name;
    try {
      name = utf8.decode(Buffer.from(raw, "latin1"));
    } catch {
      refuse("unhashable_tree");
    }
    if (/[\u0000-\u001f\u007f-\u009f\\]/u.test(name)) refuse("unhashable_tree");
    if (seen.has(fold(name))) refuse("unhashable_tree");
    seen.add(fold(name));
    if (entry.symlink !== undefined) refuse("symlink_escape");
    if (entry instanceof Map) {
      if (name === "__pycache__" || name === ".git") continue;
      if (depth === MAX_DEPTH) refuse("unhashable_tree");
      walk(entry, Buffer.concat([bytes, Buffer.from("/")]), depth + 1, digests);
    } else if (entry.data === undefined) {
      refuse("unhashable_tree"); // a FIFO, a socket, a file that cannot be read
    } else if (!name.endsWith(".pyc") && name !== ".git") {
      digests[bytes.toString()] = sha256(entry.data);
    }
  }
}

function checkTree(test) {
  const digests = {};
  const expected = test.rejection;
  try {
    const root = test.special?.[""];
    if (root) throw new Refused(root.symlink ? "symlink_escape" : "unhashable_tree", Buffer.alloc(0));
    const sorted = entriesOf(test).sort(([one], [other]) => Buffer.compare(one, other));
    walk(folderOf(sorted), Buffer.alloc(0), 0, digests);
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    if (expected === null) return false;
    const path = expected.path_base64 ? contents(expected.path_base64) : Buffer.from(expected.path);
    return refused.kind === expected.kind && refused.path.equals(path) && test.tree_digest === null;
  }
  return (
    expected === null &&
    isDeepStrictEqual(digests, test.file_digests) &&
    treeDigest(digests) === test.tree_digest
  );
}

// --- locks ---------------------------------------------------------------------------------------

const MAX_LOCK_BYTES = 64 * 1024;

// toWellFormed replaces a surrogate, so a name that changes holds one.
function isId(id) {
  const size = Buffer.byteLength(id);
  if (size === 0 || size > 255 || id.toWellFormed() !== id) return false;
  if ([".", "..", "__pycache__", ".git"].includes(id) || id.startsWith("PLUGINS.")) return false;
  return !/[\u0000-\u001f\u007f-\u009f\\/]|^ | $/u.test(id);
}

function readLock(data) {
  if (data.length > MAX_LOCK_BYTES) return null;
  let text, value;
  try {
    text = utf8.decode(data);
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const seen = new Set();
  for (const [id, digest] of Object.entries(value)) {
    if (!isId(id) || seen.has(fold(id))) return null;
    seen.add(fold(id));
    if (typeof digest !== "string" || !/^[0-9a-f]{64}$/.test(digest)) return null;
  }
  // JSON.parse keeps the last of two equal keys. All values are digests now, so what stands before a
  // colon is a key.
  const keys = text.match(/"(?:[^"\\]|\\.)*"(?=\s*:)/g) ?? [];
  return keys.length === Object.keys(value).length ? value : null;
}

function checkLock(test) {
  const found = test.content === undefined ? null : readLock(contents(test.content));
  if (test.as_written) {
    const sorted = Object.fromEntries(Object.entries(found).sort());
    const written = JSON.stringify(sorted, null, 2).replace(
      /[\u007f-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
    if (`${written}\n` !== contents(test.content).toString()) return false;
  }
  return isDeepStrictEqual(found, test.entries);
}

// --- sidecars ------------------------------------------------------------------------------------

function readSection(data, plugin, locked) {
  const section = {};
  for (const line of data.toString("latin1").split("\n")) {
    const at = line.indexOf("  ");
    const name = line.slice(at + 2);
    if (at < 0 || (name !== plugin && !name.startsWith(`${plugin}/`))) continue;
    if (!/^[0-9a-f]{64}$/.test(line.slice(0, at))) return null;
    let path;
    try {
      const below = name === plugin ? plugin : name.slice(plugin.length + 1);
      path = utf8.decode(Buffer.from(below, "latin1"));
    } catch {
      return null;
    }
    if (Object.hasOwn(section, path)) return null;
    section[path] = line.slice(0, at);
  }
  return treeDigest(section) === locked ? section : null;
}

function checkSidecar(test) {
  const section = readSection(contents(test.content), test.plugin, test.locked);
  if (section === null) return test.differences === null;
  const [then, now] = [Object.keys(section), Object.keys(test.found)];
  const differences = {
    changed: then.filter((path) => path in test.found && test.found[path] !== section[path]),
    added: now.filter((path) => !(path in section)),
    removed: then.filter((path) => !(path in test.found)),
  };
  return isDeepStrictEqual(differences, test.differences);
}

// --- all of them ---------------------------------------------------------------------------------

let failed = 0;
for (const [name, check] of Object.entries({
  "trees.json": checkTree,
  "locks.json": checkLock,
  "sidecars.json": checkSidecar,
})) {
  const tests = load(name);
  const wrong = tests.filter((test) => !check(test));
  for (const test of wrong) console.error(`${name}: ${test.name}: ${test.why}`);
  console.log(`${name}: ${tests.length - wrong.length} of ${tests.length} agree`);
  failed += wrong.length;
}
process.exitCode = failed ? 1 : 0;
