# SPDX-License-Identifier: LGPL-2.1-or-later
"""CBOR as CTAP2 wants it (canonical, definite lengths): enough for the test key, and written apart from what it tests."""


def _head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | info]) + n.to_bytes(size, "big")
    raise ValueError(n)


def encode(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, bool):
        return b"\xf5" if v else b"\xf4"
    if isinstance(v, int):
        return _head(0, v) if v >= 0 else _head(1, -1 - v)
    if isinstance(v, bytes):
        return _head(2, len(v)) + v
    if isinstance(v, str):
        return _head(3, len(v.encode())) + v.encode()
    if isinstance(v, (list, tuple)):
        return _head(4, len(v)) + b"".join(map(encode, v))
    if isinstance(v, dict):
        # CTAP 2.1, 8: by major type, then by length, then by value: the same as by the encoded bytes for what stands here.
        pairs = sorted((encode(k), encode(x)) for k, x in v.items())
        return _head(5, len(pairs)) + b"".join(k + x for k, x in sorted(pairs, key=lambda p: (p[0][0] >> 5, len(p[0]), p[0])))
    raise TypeError(type(v))


def decode(data):
    """The one value that the bytes are."""
    value, rest = _decode(data)
    if rest:
        raise ValueError("bytes left over")
    return value


def decode_first(data):
    return _decode(data)


def _decode(data):
    major, info, data = data[0] >> 5, data[0] & 31, data[1:]
    if info < 24:
        n = info
    elif info < 28:
        size = 1 << info - 24
        n, data = int.from_bytes(data[:size], "big"), data[size:]
    else:
        raise ValueError("indefinite")
    if major == 0:
        return n, data
    if major == 1:
        return -1 - n, data
    if major in (2, 3):
        if len(data) < n:
            raise ValueError("cut")
        return (data[:n] if major == 2 else data[:n].decode()), data[n:]
    if major == 4:
        items = []
        for _ in range(n):
            item, data = _decode(data)
            items.append(item)
        return items, data
    if major == 5:
        items = {}
        for _ in range(n):
            key, data = _decode(data)
            items[key], data = _decode(data)
        return items, data
    if major == 7 and info in (20, 21, 22):
        return {20: False, 21: True, 22: None}[info], data
    raise ValueError("major %d" % major)
