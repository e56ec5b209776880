"""The tree of RFC 6962: its own vectors, and every proof of every small tree against a naive reading of the text."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit import tree
from infra import verify_certificate as verifier

# The leaves and roots that the reference implementation of RFC 6962 (certificate-transparency) tests with.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(hashes[:k]) + naive_root(hashes[k:])).digest()


def naive_path(m: int, hashes: list[bytes]) -> list[bytes]:
    """PATH, word for word."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*naive_path(m, hashes[:k]), naive_root(hashes[k:])]
    return [*naive_path(m - k, hashes[k:]), naive_root(hashes[:k])]


def naive_proof(m: int, hashes: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF, word for word."""
    if m == len(hashes):
        return [] if whole else [naive_root(hashes)]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m <= k:
        return [*naive_proof(m, hashes[:k], whole=whole), naive_root(hashes[k:])]
    return [*naive_proof(m - k, hashes[k:], whole=False), naive_root(hashes[:k])]


def grown(hashes: list[bytes], *, cuts: list[int]) -> dict[tree.Node, bytes]:
    """The nodes after appending in several steps, each of which sees the edge alone."""
    nodes: dict[tree.Node, bytes] = {}
    stops = sorted({0, len(hashes), *(cut for cut in cuts if cut < len(hashes))})
    for start, stop in pairwise(stops):
        edge = {node: nodes[node] for node in tree.cover((0, start))}
        nodes |= dict(tree.grow(start, hashes[start:stop], edge))
    return nodes


def some(count: int) -> list[bytes]:
    return [tree.hash_leaf(str(number).encode()) for number in range(count)]


def test_the_roots_of_the_reference_implementation() -> None:
    hashes = [tree.hash_leaf(leaf) for leaf in LEAVES]
    nodes = grown(hashes, cuts=[])
    for size, root in enumerate(ROOTS, start=1):
        assert tree.hash_of((0, size), nodes).hex() == root
    assert tree.hash_of((0, 0), nodes) == tree.EMPTY_ROOT == hashlib.sha256(b"").digest()


def test_the_proofs_of_the_rfcs_example() -> None:
    """RFC 6962, 2.1.3: seven leaves; d0 … d6 are hashed to a, b, c, d, e, f, j."""
    a, b, c, d, e, f, j = hashes = some(7)
    g, h, i = (tree.hash_children(*pair) for pair in ((a, b), (c, d), (e, f)))
    k = tree.hash_children(g, h)
    el = tree.hash_children(i, j)
    nodes = grown(hashes, cuts=[])

    def made(spans: list[tree.Range]) -> list[bytes]:
        return [tree.hash_of(span, nodes) for span in spans]

    assert made(tree.inclusion_ranges(0, 7)) == [b, h, el]
    assert made(tree.inclusion_ranges(3, 7)) == [c, g, el]
    assert made(tree.inclusion_ranges(4, 7)) == [f, j, k]
    assert made(tree.inclusion_ranges(6, 7)) == [i, k]
    assert made(tree.consistency_ranges(3, 7)) == [c, d, g, el]
    assert made(tree.consistency_ranges(4, 7)) == [el]
    assert made(tree.consistency_ranges(6, 7)) == [i, j, k]


def test_every_proof_of_every_tree_up_to_forty_leaves() -> None:
    hashes = some(40)
    nodes = grown(hashes, cuts=[7, 8, 21])
    for size in range(1, 41):
        root = tree.hash_of((0, size), nodes)
        assert root == naive_root(hashes[:size])
        for number in range(size):
            path = [tree.hash_of(span, nodes) for span in tree.inclusion_ranges(number, size)]
            assert path == naive_path(number, hashes[:size])
            assert verifier.root_from_inclusion(hashes[number], number, size, path) == root
        for old in range(1, size + 1):
            proof = [tree.hash_of(span, nodes) for span in tree.consistency_ranges(old, size)]
            assert proof == naive_proof(old, hashes[:size])
            verifier.check_consistency(old, naive_root(hashes[:old]), size, root, proof)


@given(count=st.integers(1, 300), cuts=st.lists(st.integers(1, 299), max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_tree_grown_in_any_steps_is_the_naive_tree(count: int, cuts: list[int], data: st.DataObject) -> None:
    hashes = some(count)
    nodes = grown(hashes, cuts=cuts)
    assert tree.hash_of((0, count), nodes) == naive_root(hashes)
    number = data.draw(st.integers(0, count - 1))
    spans = tree.inclusion_ranges(number, count)
    assert [tree.hash_of(span, nodes) for span in spans] == naive_path(number, hashes)
    assert len(tree.nodes_for(spans)) <= 2 * count.bit_length()


@given(count=st.integers(2, 200), data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_altered_proof_is_believed(count: int, data: st.DataObject) -> None:
    hashes = some(count)
    nodes = grown(hashes, cuts=[])
    root = tree.hash_of((0, count), nodes)
    old = data.draw(st.integers(1, count - 1))
    proof = [tree.hash_of(span, nodes) for span in tree.consistency_ranges(old, count)]
    altered = list(proof)
    place = data.draw(st.integers(0, len(proof) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "repeat"])):
        case "flip":
            altered[place] = bytes([altered[place][0] ^ 1]) + altered[place][1:]
        case "cut":
            del altered[place]
        case _:
            altered.insert(place, altered[place])
    with pytest.raises(verifier.NotVerified):
        verifier.check_consistency(old, tree.hash_of((0, old), nodes), count, root, altered)


@pytest.mark.parametrize(("number", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_proof_outside_the_tree(number: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        tree.inclusion_ranges(number, size)
    with pytest.raises(ValueError, match="not the smaller"):
        tree.consistency_ranges(size + 1, size)
