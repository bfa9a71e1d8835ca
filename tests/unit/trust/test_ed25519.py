"""Ed25519: the vectors of RFC 8032, and every second encoding that an attacker might try."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie.trust import ed25519
from tests.fixtures.signers import SoftKey

P, L = ed25519._P, ed25519._L

# RFC 8032, section 7.1: key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
        "cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
        "0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
        "84dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66"
        "431e0303dca179c138ac17ad9bef1177331a704",
    ),
]

# Numbers of the curve that the module states, as RFC 8032 (section 5.1) defines them.
D = -121665 * pow(121666, -1, P) % P
BASE_Y = 4 * pow(5, -1, P) % P

# The eight points of small order, in every encoding that a lenient reader accepts.
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]

KEY = SoftKey("alice")
MESSAGE = b"the lock"
SIGNATURE = KEY.sign_raw(MESSAGE)


def number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def encoded(value: int) -> bytes:
    return value.to_bytes(32, "little")


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_a_vector_of_the_rfc_verifies(key: str, message: str, signature: str) -> None:
    data = bytes.fromhex(message)
    assert ed25519.verify(bytes.fromhex(key), data, bytes.fromhex(signature))
    assert not ed25519.verify(bytes.fromhex(key), data + b"\0", bytes.fromhex(signature))


def test_every_flipped_bit_of_a_signature_is_noticed() -> None:
    assert ed25519.verify(KEY.point, MESSAGE, SIGNATURE)
    for bit in range(0, 512, 3):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        assert not ed25519.verify(KEY.point, MESSAGE, bytes(changed)), bit


def test_every_flipped_bit_of_a_key_is_noticed() -> None:
    for bit in range(0, 256, 5):
        changed = bytearray(KEY.point)
        changed[bit // 8] ^= 1 << bit % 8
        assert not ed25519.verify(bytes(changed), MESSAGE, SIGNATURE), bit


@pytest.mark.parametrize("multiple", range(1, 16))
def test_a_larger_s_is_no_second_signature(multiple: int) -> None:
    s = number(SIGNATURE[32:]) + multiple * L
    if s < 1 << 256:
        assert not ed25519.verify(KEY.point, MESSAGE, SIGNATURE[:32] + encoded(s))


@pytest.mark.parametrize("s", [0, L - 1, L, L + 1, (1 << 256) - 1])
def test_an_s_at_the_limits_is_refused(s: int) -> None:
    assert not ed25519.verify(KEY.point, MESSAGE, SIGNATURE[:32] + encoded(s))


def test_an_s_of_exactly_l_is_no_second_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse s = L where s = 0 verifies. With a digest of one, R is -A."""
    monkeypatch.setattr(ed25519, "sha512_digest", lambda _: (1).to_bytes(64, "little"))
    minus_a = encoded(number(KEY.point) ^ 1 << 255)
    assert ed25519.verify(KEY.point, MESSAGE, minus_a + encoded(0))
    assert not ed25519.verify(KEY.point, MESSAGE, minus_a + encoded(L))


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(key: str) -> None:
    """Refuse keys for which R = S·B verifies for one message in eight, or for each."""
    point = bytes.fromhex(key)
    assert not ed25519.is_valid_key(point)
    identity = encoded(1)
    for data in (b"", b"a", b"b", b"c", b"d", MESSAGE):
        for first in (identity, point):
            assert not ed25519.verify(point, data, first + bytes(32))


@pytest.mark.parametrize("excess", range(19))
def test_a_y_beyond_the_field_is_refused(excess: int) -> None:
    for sign in (0, 1 << 255):
        assert not ed25519.is_valid_key(encoded(P + excess | sign))
        assert ed25519._decode(encoded(P + excess | sign)) is None


def test_a_negative_zero_is_refused() -> None:
    assert ed25519._decode(encoded(1)) is not None
    assert ed25519._decode(encoded(1 | 1 << 255)) is None
    assert ed25519._decode(encoded(P - 1 | 1 << 255)) is None


def test_an_r_with_another_encoding_is_refused() -> None:
    """Refuse R beyond the field: only the canonical bytes equal the encoding of S·B - k·A."""
    for first in (encoded(P + 1), encoded(1 | 1 << 255), encoded(P)):
        assert not ed25519.verify(KEY.point, MESSAGE, first + SIGNATURE[32:])


def test_a_y_without_a_point_is_refused() -> None:
    without = [y for y in range(2, 40) if ed25519._decode(encoded(y)) is None]
    assert len(without) > 5
    assert not any(ed25519.is_valid_key(encoded(y)) for y in without)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 63, 64, 65, 128])
def test_another_size_is_refused(size: int) -> None:
    if size != 32:
        assert not ed25519.verify(bytes(size), MESSAGE, SIGNATURE)
        assert not ed25519.is_valid_key(bytes(size))
    if size != 64:
        assert not ed25519.verify(KEY.point, MESSAGE, bytes(size))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=32), st.binary(max_size=100))
def test_only_the_signed_message_verifies(seed: bytes, message: bytes) -> None:
    key = SoftKey(seed.hex())
    signature = key.sign_raw(message)
    assert ed25519.verify(key.point, message, signature)
    assert not ed25519.verify(key.point, message + b"x", signature)
    assert not ed25519.verify(KEY.point, message, signature)


@settings(deadline=None, max_examples=150)
@given(
    st.binary(min_size=32, max_size=32), st.binary(max_size=9), st.binary(min_size=64, max_size=64)
)
def test_other_bytes_never_verify_and_never_raise(
    key: bytes, message: bytes, signature: bytes
) -> None:
    assert not ed25519.verify(key, message, signature)


def test_stated_constants_are_those_of_the_curve() -> None:
    assert (P, L) == (2**255 - 19, 2**252 + 27742317777372353535851937790883648493)
    assert ed25519._D == D
    assert pow(2, (P - 1) // 4, P) == ed25519._SQRT_MINUS_ONE
    assert ed25519._SQRT_MINUS_ONE**2 % P == P - 1
    x, y, z, t = ed25519._BASE
    assert (y, z, t) == (BASE_Y, 1, x * y % P)
    assert x % 2 == 0
    assert (y * y - x * x - 1 - D * x * x * y * y) % P == 0
    assert ed25519._decode(y.to_bytes(32, "little")) == ed25519._BASE
