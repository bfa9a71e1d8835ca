"""Encode and decode base64, strictly (RFC 4648).

Threat: CPython loads ``binascii`` from ``sys.path``, so an attacker can plant one that decodes
another key. Rule: a start decodes base64 by the functions below. Signatures are short, so the speed
of machine code saves nothing.
"""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_PAD = b"="


def decode(text: bytes) -> bytes:
    """Return the bytes of canonical base64: padded, without white space, unused bits zero.

    Raises:
        ValueError: the text is not base64, or another text encodes the same bytes.
    """
    body = text.rstrip(_PAD)
    padding = len(text) - len(body)
    if len(text) % 4 or padding > 2:
        raise ValueError("is not base64: its length or its padding is wrong")
    data = bytearray()
    try:
        # Four characters at a time, so the time grows with the length and not with its square.
        for place in range(0, len(body), 4):
            a, b, c, d = body[place : place + 4] + b"A" * padding * (place + 4 > len(body))
            number = _VALUES[a] << 18 | _VALUES[b] << 12 | _VALUES[c] << 6 | _VALUES[d]
            data += number.to_bytes(3, "big")
    except KeyError:
        raise ValueError("is not base64: it has another character") from None
    if padding and any(data[-padding:]):
        raise ValueError("is not canonical base64: unused bits are set")
    return bytes(data[: len(data) - padding])


def encode(data: bytes) -> bytes:
    """Return the canonical base64 of some bytes, padded, on one line."""
    padding = -len(data) % 3
    padded = data + bytes(padding)
    text = bytearray()
    for place in range(0, len(padded), 3):
        number = int.from_bytes(padded[place : place + 3], "big")
        text += bytes(_ALPHABET[number >> shift & 63] for shift in (18, 12, 6, 0))
    return bytes(text[: len(text) - padding]) + _PAD * padding
