"""OpenSSH signatures: one armoured block, every field checked, nothing after the last."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.trust import base64_text, sshsig
from tests.fixtures.signers import SoftKey, armoured, make_key, wire

DATA = b'{"a": "statement"}\n'
KEY = SoftKey("alice")
FILE = KEY.sign(DATA)


def body(file: bytes) -> bytes:
    return base64.b64decode(b"".join(file.split(b"\n")[1:-2]))


BLOB = body(FILE)


def blob(
    *,
    magic: bytes = b"SSHSIG",
    version: int = 1,
    key: bytes = KEY.blob,
    namespace: bytes = b"codegenie-plugins-v1",
    reserved: bytes = b"",
    hash_name: bytes = b"sha512",
    value: bytes = b"",
    rest: bytes = b"",
) -> bytes:
    value = value or BLOB[-83:]
    fields = (key, namespace, reserved, hash_name, value)
    return magic + version.to_bytes(4, "big") + b"".join(map(wire, fields)) + rest


def accepts(file: bytes, data: bytes = DATA) -> None:
    sshsig.verify(sshsig.parse(file), data)


def refuses(file: bytes, data: bytes = DATA) -> str:
    with pytest.raises(ValueError, match=r"^[a-z]") as caught:
        accepts(file, data)
    return str(caught.value)


def test_the_parts_put_together_are_the_signature() -> None:
    assert blob() == BLOB
    accepts(armoured(blob()))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"magic": b"SSHSIX"}, "preamble"),
        ({"version": 0}, "version 0"),
        ({"version": 2}, "version 2"),
        ({"namespace": b"git"}, "'git'"),
        ({"namespace": b""}, "namespace"),
        ({"namespace": b"codegenie-plugins-v1\0"}, "namespace"),
        ({"reserved": b"x"}, "reserved"),
        ({"hash_name": b"sha1"}, "sha512"),
        ({"hash_name": b"SHA512"}, "sha512"),
        ({"hash_name": b"sha256"}, "does not match"),
        ({"rest": b"\0"}, "after its last field"),
        ({"key": KEY.blob + b"\0"}, "after its last field"),
        ({"key": b""}, "ends before"),
        ({"key": wire(b"ssh-rsa") + wire(b"x")}, "ssh-rsa"),
        ({"key": wire(b"ssh-ed25519-cert-v01@openssh.com") + wire(KEY.point)}, "cert-v01"),
        ({"key": wire(b"ssh-ed25519") + wire(KEY.point[:31])}, "does not match"),
        ({"value": wire(b"ssh-rsa") + wire(bytes(64))}, "another type than its key"),
        ({"value": wire(b"ssh-ed25519") + wire(bytes(63))}, "does not match"),
        ({"value": BLOB[-83:] + b"\0"}, "after its last field"),
    ],
    ids=str,
)
def test_a_changed_field_is_refused(changed: dict[str, bytes], says: str) -> None:
    assert says in refuses(armoured(blob(**changed)))  # type: ignore[arg-type]


def test_no_part_of_a_signature_may_be_missing() -> None:
    for size in range(len(BLOB)):
        refuses(armoured(BLOB[:size]) if size else b"")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file + b"\n",
        lambda file: b"\n" + file,
        lambda file: b"text\n" + file,
        lambda file: file + b"text",
        lambda file: file + file,
        lambda file: file[:-1],
        lambda file: file.replace(b"\n", b"\r\n"),
        lambda file: file.replace(b"SSH SIGNATURE", b"SSH  SIGNATURE"),
        lambda file: file.replace(b"\n", b"\n\n", 1),
        lambda file: file.replace(b"\n", b" \n", 2),
        lambda file: file.replace(b"U1NI", b"U1N=", 1),
        lambda file: file.replace(b"U1NI", b"\x00U1N", 1),
        lambda file: file.replace(b"\n-----END", b"X-----END"),
        lambda file: b"\xef\xbb\xbf" + file,
        lambda file: file.decode().encode("utf-16"),
        lambda file: file.replace(b"-----BEGIN SSH SIGNATURE-----\n", b""),
        lambda file: b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        lambda file: b"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n",
        lambda file: (
            b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 16000 + b"\n-----END SSH SIGNATURE-----\n"
        ),
    ],
)
def test_another_armour_is_refused(change: Callable[[bytes], bytes]) -> None:
    refuses(change(FILE))


def body_text() -> bytes:
    return base64.b64encode(BLOB)


def in_lines(*widths: int) -> bytes:
    """Return the signature in lines of these widths. The last width repeats."""
    text = body_text()
    lines: list[bytes] = []
    while text:
        width = widths[min(len(lines), len(widths) - 1)]
        lines.append(text[:width] + b"\n")
        text = text[width:]
    begin, end = b"-----BEGIN SSH SIGNATURE-----\n", b"-----END SSH SIGNATURE-----\n"
    return begin + b"".join(lines) + end


def test_lines_are_of_one_length_up_to_the_limit() -> None:
    accepts(in_lines(70))
    accepts(in_lines(76))
    of_one_character = [width for width in range(2, 76) if len(body_text()) % width == 1]
    assert of_one_character
    for width in of_one_character:
        accepts(in_lines(width))
    for widths in ((77,), (70, 69, 70), (70, 71, 70)):
        assert "one length" in refuses(in_lines(*widths))


@pytest.mark.parametrize("text", [b"A===", b"AAAA=", b"AAAA==", b"AAA", b"AAAAA"])
def test_wrong_length_or_padding_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="length or its padding"):
        base64_text.decode(text)


def test_unused_bits_of_the_last_character_must_be_zero() -> None:
    for size in (len(BLOB) + extra for extra in range(3)):
        file = armoured(BLOB + bytes(size - len(BLOB)))
        lines = file.split(b"\n")
        if lines[-3].endswith(b"A="):
            lines[-3] = lines[-3][:-2] + b"B="
            assert "canonical" in refuses(b"\n".join(lines))
            return
    pytest.fail("no size has unused bits")


def test_the_hash_may_be_sha256() -> None:
    fields = [b"codegenie-plugins-v1", b"", b"sha256", hashlib.sha256(DATA).digest()]
    signed = b"SSHSIG" + b"".join(map(wire, fields))
    value = wire(b"ssh-ed25519") + wire(KEY.sign_raw(signed))
    accepts(armoured(blob(hash_name=b"sha256", value=value)))


SECURITY_KEY = b"sk-ssh-ed25519@openssh.com"


def by_security_key(
    flags: int, counter: int = 7, *, application: bytes = b"ssh:", tail: bytes | None = None
) -> bytes:
    """Sign as a security key does: ``PROTOCOL.u2f`` of OpenSSH.

    ``application`` and ``tail`` replace what was signed.
    """
    fields = [b"codegenie-plugins-v1", b"", b"sha512", hashlib.sha512(DATA).digest()]
    signed = b"SSHSIG" + b"".join(map(wire, fields))
    genuine = bytes([flags]) + counter.to_bytes(4, "big")
    over = hashlib.sha256(b"ssh:").digest() + genuine + hashlib.sha256(signed).digest()
    value = wire(SECURITY_KEY) + wire(KEY.sign_raw(over)) + (genuine if tail is None else tail)
    key = wire(SECURITY_KEY) + wire(KEY.point) + wire(application)
    return armoured(blob(key=key, value=value))


@pytest.mark.parametrize("flags", [0x01, 0x05, 0x81, 0xFF])
def test_a_touched_security_key_is_accepted(flags: int) -> None:
    accepts(by_security_key(flags))
    accepts(by_security_key(flags, 2**32 - 1))
    assert "does not match" in refuses(by_security_key(flags), DATA + b" ")


@pytest.mark.parametrize("flags", [0x00, 0x02, 0x04, 0xFE])
def test_a_security_key_must_be_touched(flags: int) -> None:
    assert "not touched" in refuses(by_security_key(flags))
    touched_later = bytes([flags | 1]) + (7).to_bytes(4, "big")
    assert "does not match" in refuses(by_security_key(flags, tail=touched_later))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"application": b"ssh:other"}, "does not match"),
        ({"tail": b"\5\0\0\0\7"}, "does not match"),  # verified, and not only touched
        ({"tail": b"\1\0\0\0\6"}, "does not match"),
        ({"tail": b"\1\7\0\0\0"}, "does not match"),
        ({"tail": b"\1\0\0\0"}, "ends before the counter"),
        ({"tail": b"\1\0\0\0\7\0"}, "after its last field"),
        ({"tail": b""}, "ends before the flags"),
    ],
)
def test_what_a_security_key_signed_cannot_be_changed(changed: dict[str, bytes], says: str) -> None:
    assert says in refuses(by_security_key(1, **changed))  # type: ignore[arg-type]


def test_a_plain_key_is_no_security_key() -> None:
    key = wire(b"sk-ssh-ed25519@openssh.com") + wire(KEY.point) + wire(b"ssh:")
    assert "another type" in refuses(armoured(blob(key=key)))
    assert sshsig.point_of(key) == sshsig.point_of(KEY.blob) == KEY.point


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 !",
        f"ssh-rsa {KEY.public.split()[1]}",
        f"ssh-ed25519 {KEY.public.split()[1][:-1]}",
        f"ssh-ed25519  {KEY.public.split()[1]}",
        f"restrict {KEY.public}",
        f"{KEY.public}\n{KEY.public}",
        f"{KEY.public} comment\u2028{KEY.public}",
    ],
)
def test_a_line_that_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        sshsig.parse_public_key(line)


def test_keys_of_ssh_keygen_are_read(tmp_path: Path) -> None:
    key = make_key(tmp_path, "carol")
    parsed = sshsig.parse_public_key(key.public)
    sshsig.check_key(parsed)
    signature = sshsig.parse(key.sign(DATA))
    assert signature.key == parsed
    sshsig.verify(signature, DATA)


def test_an_insecure_key_is_refused() -> None:
    with pytest.raises(ValueError, match="not a secure"):
        sshsig.check_key(wire(b"ssh-ed25519") + wire(bytes(32)))
