"""Verify Ed25519 signatures, and nothing else (RFC 8032, section 5.1.7).

A guarded process checks who vouches for the lock before it imports anything that a lock covers.
Threat: an attacker plants a cryptographic library on ``sys.path``. Rule: use only integers and the
SHA-512 of the interpreter. No private key is ever used here, so the running time reveals nothing.

The verifier is stricter than the RFC requires, because a key or a signature with two encodings
gives an attacker a second name for the same thing:

1. the key and the signature have 32 and 64 bytes;
2. ``S`` is below the group order ``L``: otherwise ``S + L`` is a second signature;
3. the key is the canonical encoding of a point (``y < p``, no negative zero for ``x``);
4. the key is not of small order: such a key accepts signatures of many messages;
5. ``R`` equals the encoding of ``S·B - k·A``, byte for byte, so ``R`` is canonical too. This is the
   equation without the cofactor, which OpenSSL and OpenSSH use.

Not checked: that the key is in the subgroup of prime order. No equation above depends on that once
small orders are excluded, and OpenSSH does not check it either.

Example:
    >>> verify(bytes(32), b"message", bytes(64))
    False
"""

from codegenie.hashing import sha512_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    # Extended homogeneous coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, x*y = T/Z.
    Point: TypeAlias = tuple[int, int, int, int]
    # A point that is added many times: (Y + X, Y - X, 2*Z, 2*d*T).
    Addend: TypeAlias = tuple[int, int, int, int]

KEY_SIZE = 32
"""Bytes of a public key."""

SIGNATURE_SIZE = 64
"""Bytes of a signature: ``R``, then ``S``."""

_P = 2**255 - 19
"""The prime of the field."""

_L = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point."""

# Methods of the type of a literal, because an application can replace `builtins.pow` and
# `builtins.int`. A decoder that returns 0 for a hash accepts forged signatures.
_power = (0).__class__.__pow__
_from_bytes = (0).from_bytes

# To compute the next three values takes a tenth of the time of a verification. A test does it.
_D = 0x52036CEE2B6FFE738CC740797779E89800700A4D4141D8AB75EB4DCA135978A3
"""``-121665/121666``, a constant of the curve."""

_SQRT_MINUS_ONE = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
"""``2 ** ((p - 1) / 4)``."""

_BASE = (
    0x216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A,
    0x6666666666666666666666666666666666666666666666666666666666666658,
    1,
    0x67875F0FD78B766566EA4E8E64ABE37D20F09F80775152F56DDE8AB3A5B7DDA3,
)
"""The base point: its ``y`` is 4/5, and its ``x`` is even (RFC 8032, section 5.1)."""

_SIGN_BIT = 1 << 255

_NEUTRAL = (0, 1, 1, 0)

_WINDOW = 5
"""Bits of a window of a scalar; each table holds ``2 ** (_WINDOW - 2)`` odd multiples."""


sha512_digest(b"")
"""Loads the implementation now. Later, a thread may hold the import lock while it verifies."""


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return True if ``signature`` is a signature of ``message`` by the owner of ``key``.

    Args:
        key: the public key, 32 bytes.
        message: what was signed.
        signature: 64 bytes.

    Returns:
        False for every other input, whatever its length. Never raises.
    """
    if len(key) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    encoded_r, encoded_s = signature[:KEY_SIZE], signature[KEY_SIZE:]
    s = _from_bytes(encoded_s, "little")
    if s >= _L:
        return False
    point = _decode(key)
    if point is None or _has_small_order(point):
        return False
    k = _from_bytes(sha512_digest(encoded_r + key + message), "little") % _L
    return _encode(_subtract_products(s, k, point)) == encoded_r


def is_valid_key(key: bytes) -> bool:
    """Return True if a signature of ``key`` can ever be accepted (checks 1, 3 and 4)."""
    if len(key) != KEY_SIZE:
        return False
    point = _decode(key)
    return point is not None and not _has_small_order(point)


def _decode(encoded: bytes) -> "Point | None":
    """Return the point of a canonical encoding, or None (RFC 8032, section 5.1.3)."""
    number = _from_bytes(encoded, "little")
    sign = number >> 255
    y = number & ~_SIGN_BIT
    if y >= _P:
        return None
    square = y * y % _P
    u, v = square - 1, _D * square + 1
    x = u * v**3 * _power(u * v**7, (_P - 5) // 8, _P) % _P
    if (v * x * x - u) % _P:
        x = x * _SQRT_MINUS_ONE % _P
        if (v * x * x - u) % _P:
            return None  # u/v is not a square: no point has this y
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encode(point: "Point") -> bytes:
    """Return the canonical encoding of a point (RFC 8032, section 5.1.2)."""
    x, y, z, _ = point
    inverse = _power(z, _P - 2, _P)
    number = y * inverse % _P | (x * inverse % _P & 1) << 255
    return number.to_bytes(KEY_SIZE, "little")


def _has_small_order(point: "Point") -> bool:
    """Return True if eight times ``point`` is the neutral element."""
    for _ in range(3):
        point = _double(point)
    x, y, z, _ = point
    return x % _P == 0 and (y - z) % _P == 0


def _double(point: "Point") -> "Point":
    """Return twice ``point`` (RFC 8032, section 5.1.4)."""
    x, y, z, _ = point
    a, b = x * x, y * y
    h = a + b
    e = h - (x + y) ** 2
    g = a - b
    f = (2 * z * z + g) % _P
    e, g, h = e % _P, g % _P, h % _P
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _add(point: "Point", addend: "Addend") -> "Point":
    """Return the sum of a point and a prepared one (RFC 8032, section 5.1.4)."""
    x, y, z, t = point
    plus, minus, twice_z, twice_dt = addend
    a = (y - x) * minus % _P
    b = (y + x) * plus % _P
    c = t * twice_dt % _P
    d = z * twice_z % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _prepared(point: "Point") -> "Addend":
    x, y, z, t = point
    return (y + x) % _P, (y - x) % _P, 2 * z % _P, 2 * _D * t % _P


def _negated(addend: "Addend") -> "Addend":
    plus, minus, twice_z, twice_dt = addend
    return minus, plus, twice_z, -twice_dt


def _odd_multiples(point: "Point") -> "list[Addend]":
    """Return ``1·point, 3·point, 5·point, …``, prepared for addition."""
    twice = _prepared(_double(point))
    multiples = [_prepared(point)]
    for _ in range(2 ** (_WINDOW - 2) - 1):
        point = _add(point, twice)
        multiples.append(_prepared(point))
    return multiples


def _digits(scalar: int) -> "dict[int, int]":
    """Return the non-zero digits of ``scalar`` by position, odd and below ``2 ** (_WINDOW - 1)``.

    This is the windowed non-adjacent form: at most one of ``_WINDOW`` digits in a row is not zero.
    """
    digits: dict[int, int] = {}
    position = 0
    while scalar:
        if scalar & 1:
            digit = scalar & (1 << _WINDOW) - 1
            if digit >= 1 << (_WINDOW - 1):
                digit -= 1 << _WINDOW
            digits[position] = digit
            scalar -= digit
        scalar >>= 1
        position += 1
    return digits


def _subtract_products(s: int, k: int, point: "Point") -> "Point":
    """Return ``s·B - k·point``, with one chain of doublings for both products."""
    x, y, z, t = point
    pairs = (
        (_digits(s), _odd_multiples(_BASE)),
        (_digits(k), _odd_multiples((-x, y, z, -t))),
    )
    total: Point = _NEUTRAL
    for position in range(_L.bit_length(), -1, -1):
        total = _double(total)
        for digits, multiples in pairs:
            digit = digits.get(position)
            if digit is not None:
                addend = multiples[abs(digit) >> 1]
                total = _add(total, addend if digit > 0 else _negated(addend))
    return total
