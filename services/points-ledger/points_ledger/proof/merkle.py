"""Merkle trees as RFC 6962 defines them: one hash stands for a list, and a few hashes prove that something stands in it.

The invariants: a leaf and a node never have the same hash (0x00 and 0x01 lead them); a tree of n leaves is cut at the largest power
of two below n, so that a list and a prefix of it share their left part.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
NOTHING: Final = bytes(HASH_BYTES)
"""Stands before the first link of a chain."""
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf(content: bytes) -> bytes:
    return hashlib.sha256(_LEAF + content).digest()


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The tree over leaf hashes, from below: the leaves first, the root last. Not for an empty list."""
    assert leaves, "a tree has a leaf"
    found, sha, node = [list(leaves)], hashlib.sha256, _NODE
    while len(level := found[-1]) > 1:
        paired = [sha(node + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        found.append([*paired, level[-1]] if len(level) % 2 else paired)
    return found


def root(leaves: Sequence[bytes]) -> bytes:
    """The hash of a list of leaf hashes."""
    return levels(leaves)[-1][0]


def path(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """The hashes that lead from leaf number `index` (from 0) of a tree's `levels` to its root, from below."""
    assert 0 <= index < len(tree[0]), "the leaf is in the tree"
    found: list[bytes] = []
    for level in tree[:-1]:
        if (beside := index ^ 1) < len(level):
            found.append(level[beside])
        index //= 2
    return found


def root_from(one: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root of a tree of `size` leaves whose leaf number `index` is `one`, by its path. None if the path does not fit."""
    if not 0 <= index < size:
        return None
    rest = list(hashes)
    while size > 1:
        if index % 2 or index + 1 < size:
            if not rest:
                return None
            beside = rest.pop(0)
            one = _node(beside, one) if index % 2 else _node(one, beside)
        index, size = index // 2, (size + 1) // 2
    return None if rest else one


def split(hashes: bytes) -> list[bytes]:
    """Hashes that stand one after another."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
