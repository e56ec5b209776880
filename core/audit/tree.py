"""The Merkle tree of RFC 6962, section 2.1, as pure functions over a store of complete subtrees.

A node (level, place) is the root of the complete subtree over the leaves [place · 2^level, (place + 1) · 2^level).
A complete subtree never changes once it is there, so any root and any proof, of any size that the tree ever had, can be
put together from O(log n) of them. Functions that end in `_ranges` say which hashes a proof is made of, as ranges
[start, end) of leaves; `cover` says of which nodes such a range is made.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

Node = tuple[int, int]
Range = tuple[int, int]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def hash_leaf(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def cover(span: Range) -> list[Node]:
    """The complete subtrees that make up a range of the tree, left to right.

    The range must be one that the recursion of RFC 6962 meets: its start is a multiple of every subtree's size in it.
    """
    start, end = span
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def hash_of(span: Range, nodes: Mapping[Node, bytes]) -> bytes:
    """MTH of a range, from the nodes that `cover` names."""
    hashes = [nodes[node] for node in cover(span)]
    if not hashes:
        return EMPTY_ROOT
    found = hashes.pop()
    while hashes:
        found = hash_children(hashes.pop(), found)
    return found


def grow(size: int, leaf_hashes: Iterable[bytes], edge: Mapping[Node, bytes]) -> Iterator[tuple[Node, bytes]]:
    """The nodes that come into being when leaves are appended to a tree of this size.

    edge: the nodes of `cover((0, size))`, which is all that new subtrees can need of the old ones.
    """
    left = dict(edge)
    for place, leaf_hash in enumerate(leaf_hashes, start=size):
        node, found = (0, place), leaf_hash
        yield node, found
        while node[1] % 2:
            found = hash_children(left.pop((node[0], node[1] - 1)), found)
            node = (node[0] + 1, node[1] // 2)
            yield node, found
        left[node] = found


def inclusion_ranges(number: int, size: int) -> list[Range]:
    """PATH(number, D[size]): the audit path, from the leaf's sibling up. Raises ValueError outside the tree."""
    if not 0 <= number < size:
        raise ValueError("there is no such leaf in a tree of this size")
    path: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if number < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """PROOF(old, D[size]). Empty when nothing is to be proved: from 0, or from the same size. Raises ValueError."""
    if not 0 <= old <= size:
        raise ValueError("the earlier tree is not the smaller one")
    if old in {0, size}:
        return []
    proof: list[Range] = []
    start, end = 0, size
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append((middle, end))
            end = middle
        else:
            proof.append((start, middle))
            start = middle
    # A subtree that starts at 0 is the whole earlier tree, whose root the verifier has already.
    return ([(start, end)] if start else []) + proof[::-1]


def nodes_for(spans: Iterable[Range]) -> set[Node]:
    """Every node that these ranges are made of."""
    return set(chain.from_iterable(cover(span) for span in spans))


def _split(count: int) -> int:
    """The largest power of two that is smaller than the count."""
    return 1 << ((count - 1).bit_length() - 1)
