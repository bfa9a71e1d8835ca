"""Signature files: any bytes are one OpenSSH signature in its only form, or an error."""

from __future__ import annotations

import base64
import struct

from codegenie.trust import sshsig

BEGIN, END = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"

TOKENS = [
    *(BEGIN, END, b"\n", b"=", b"==", b"AAAA", b"U1NIU0lH", b"AAAAAQ", b"AAAAB3NzaC1lZDI1NTE5"),
    *(b"SSHSIG", b"\0\0\0\x01", b"\0\0\0\0", b"\0\0\0\x0bssh-ed25519", b"\xff\xff\xff\xff"),
    *(b"\0\0\0\x06sha512", b"\0\0\0\x14codegenie-plugins-v1", b"\r\n", b"-----"),
]


def check(data: bytes) -> None:
    """Check bytes as a file, and as the content of the armour."""
    for file in (data, armoured(data, 70), armoured(b"SSHSIG\0\0\0\x01" + data, 76)):
        check_file(file)


def check_file(file: bytes) -> None:
    try:
        parsed = sshsig.parse(file)
    except ValueError:
        return
    width = len(file[len(BEGIN) :].partition(b"\n")[0])
    fields = (parsed.key, parsed.namespace, b"", parsed.hash_name, parsed.value)
    content = b"SSHSIG" + struct.pack(">I", 1) + b"".join(string(field) for field in fields)
    assert armoured(content, width) == file  # no byte of a file is without a meaning
    assert parsed.key.startswith(string(parsed.key_type))
    try:
        sshsig.verify(parsed, b"a statement that was never signed")
    except ValueError:
        return
    raise AssertionError("a signature was forged")


def string(field: bytes) -> bytes:
    return struct.pack(">I", len(field)) + field


def armoured(content: bytes, width: int) -> bytes:
    text = base64.b64encode(content)
    lines = [text[start : start + width] + b"\n" for start in range(0, len(text), width)]
    return BEGIN + b"".join(lines) + END
