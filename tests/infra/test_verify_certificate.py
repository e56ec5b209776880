"""The offline verifier: it believes true certificates, and nothing that differs from one in a single bit."""

import base64
import copy
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.audit import note, tree
from infra import verify_certificate as verifier
from infra.verify_certificate import NotVerified

MODULE = Path(verifier.__file__)
MUTANTS = 10_000
OTHER_VALUES: tuple[Any, ...] = ("", "x", 0, 1, None, [], "2026-11-23T10:00:01+00:00")


class Issuer:
    """Makes certificates by an own reading of their description."""

    def __init__(self, seed: int = 1) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = self.private.public_key().public_bytes_raw()
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": _base64url(self.public_key)}
        self.kid = _base64url(hashlib.sha256(verifier.canonical(self.jwk)).digest())

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def keys(self) -> bytes:
        return json.dumps({"keys": [{**self.jwk, "kid": self.kid, "use": "sig", "alg": "EdDSA"}]}).encode()

    def issue(self, *, size: int = 7, number: int = 3, **changes: Any) -> dict[str, Any]:
        tenant = "0" * 31 + "7"
        certificate: dict[str, Any] = {
            "format": verifier.FORMAT,
            "id": f"ec_{'a' * 32}",
            "tenant": f"ten_{tenant}",
            "subject": f"sub_{'b' * 32}",
            "shredded_at": "2026-11-23T10:00:00+00:00",
            "erased_at": "2026-11-23T10:00:02.500000+00:00",
            "issued_at": "2026-11-23T10:00:06+00:00",
            "erased": {"objects": [{"class": "photo", "count": 2}]},
            "scans": [
                {"store": store, "how": "looked", "looked_at": 3, "found": 0}
                for store in ("database", "key store", "objects")
            ],
            "backups": {"state": "pending", "meaning": "until they are gone – really"},
        } | changes
        salt = b"s" * 16
        digest = hashlib.sha256(verifier.canonical(certificate)).hexdigest()
        bound = verifier.canonical({"certificate": "a" * 32, "digest": digest, "subject": None})
        leaf = verifier.canonical(
            {"tenant": tenant, "kind": "erasure.certified", "commitment": _hmac(salt, bound), "at": 1}
        )
        leaves = [b"other %d" % place for place in range(size)]
        leaves[number] = leaf
        nodes = dict(tree.grow(0, map(tree.hash_leaf, leaves), {}))
        origin = f"likeness/ten_{tenant}"
        text = note.checkpoint_text(origin, size=size, root_hash=tree.hash_of((0, size), nodes))
        log = {
            "entry": leaf.decode(),
            "number": number,
            "salt": salt.hex(),
            "proof": [tree.hash_of(span, nodes).hex() for span in tree.inclusion_ranges(number, size)],
            "checkpoint": note.sign(text, name=origin, signer=self),
        }
        return self.signed({"certificate": certificate, "log": log})

    def signed(self, said: dict[str, Any]) -> dict[str, Any]:
        message = verifier.FORMAT.encode() + b"\n" + verifier.canonical(said)
        return {**said, "signature": {"alg": "Ed25519", "kid": self.kid, "value": self.sign(message).hex()}}


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _hmac(key: bytes, message: bytes) -> str:
    inner = hashlib.sha256(bytes(k ^ 0x36 for k in key.ljust(64, b"\0")) + message).digest()
    return hashlib.sha256(bytes(k ^ 0x5C for k in key.ljust(64, b"\0")) + inner).hexdigest()


def _file(document: dict[str, Any]) -> bytes:
    return verifier.canonical(document) + b"\n"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def keys(issuer: Issuer) -> verifier.Keys:
    return verifier.read_keys(issuer.keys())


def test_true_certificates_are_believed(issuer: Issuer, keys: verifier.Keys) -> None:
    for size in (1, 2, 3, 7, 8, 100):
        for number in {0, size // 2, size - 1}:
            said = verifier.verify(_file(issuer.issue(size=size, number=number)), keys)
            assert said["id"] == f"ec_{'a' * 32}"


def _mutate(document: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(document))
    before, after = document[:place], document[place:]
    other = chance.randrange(len(document))
    exchanged = bytearray(document)
    exchanged[place], exchanged[other] = exchanged[other], exchanged[place]
    mutants = {
        "one bit": before + bytes([after[0] ^ 1 << chance.randrange(8)]) + after[1:],
        "one byte that leaves it JSON": before + bytes([chance.choice(b"0123456789abcdef")]) + after[1:],
        "cut": before,
        "a piece left out": before + after[chance.randrange(1, 40) :],
        "a piece repeated": before + document[max(0, place - chance.randrange(1, 40)) :],
        "two bytes exchanged": bytes(exchanged),
        "the same, spelled otherwise": before + bytes([chance.choice(b" \n\t")]) + after,
    }
    return chance.choice(list(mutants.values()))


def test_ten_thousand_mutated_copies_are_refused(issuer: Issuer, keys: verifier.Keys) -> None:
    document = _file(issuer.issue())
    chance = random.Random(20261123)  # noqa: S311 (the same mutants each time)
    believed, tried = [], 0
    while tried < MUTANTS:
        mutant = _mutate(document, chance)
        if mutant == document:
            continue
        tried += 1
        try:
            verifier.verify(mutant, keys)
        except NotVerified:
            continue
        believed.append(mutant)
    assert believed == []


def _paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path for name, inner in value.items() for path in _paths(inner, (*here, name))]
    if isinstance(value, list):
        return [path for place, inner in enumerate(value) for path in _paths(inner, (*here, place))]
    return [here]


def test_each_field_that_is_changed_is_noticed_however_well_it_is_spelled(issuer: Issuer, keys: verifier.Keys) -> None:
    document = issuer.issue()
    for path in _paths(document):
        for value in OTHER_VALUES:
            changed = copy.deepcopy(document)
            place: Any = changed
            for name in path[:-1]:
                place = place[name]
            if place[path[-1]] == value:
                continue
            place[path[-1]] = value
            with pytest.raises(NotVerified):
                verifier.verify(_file(changed), keys)


def test_another_key_of_the_same_name_is_no_help(issuer: Issuer) -> None:
    forged = Issuer(seed=2)
    forged.kid = issuer.kid
    with pytest.raises(NotVerified, match="signature"):
        verifier.verify(_file(forged.issue()), verifier.read_keys(issuer.keys()))
    with pytest.raises(NotVerified, match="no usable"):
        verifier.read_keys(forged.keys())


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"erased_at": "2026-11-23T09:00:00+00:00"}, "not in order"),
        ({"issued_at": "soon"}, "sense"),
        ({"scans": []}, "found something, or was not made"),
        (
            {"scans": [{"store": s, "found": s == "objects"} for s in ("database", "key store", "objects")]},
            "found some",
        ),
        ({"format": "likeness.erasure-certificate.v2"}, "another format"),
        ({"tenant": f"ten_{'9' * 32}"}, "something else"),
    ],
)
def test_a_signed_certificate_that_makes_no_sense_is_refused(
    issuer: Issuer, keys: verifier.Keys, changes: dict[str, Any], check: str
) -> None:
    with pytest.raises(NotVerified, match=check):
        verifier.verify(_file(issuer.issue(**changes)), keys)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"a":1.5}', '{"a":NaN}', "{" * 100_000, '{"a":1,"a":2}'])
def test_what_is_no_certificate_is_refused_calmly(keys: verifier.Keys, text: str) -> None:
    with pytest.raises(NotVerified):
        verifier.verify(text.encode() + b"\n", keys)


def test_the_checkpoint_of_the_specification_is_read(issuer: Issuer) -> None:
    """c2sp.org/tlog-checkpoint gives this note; its key is not given, so it is refused for that and nothing else."""
    example = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    )
    with pytest.raises(NotVerified, match="no published key"):
        verifier.open_checkpoint(example, verifier.read_keys(issuer.keys()))
    for broken in (example[:-1], example.replace("20852163", "020852163"), example.replace("— ", "- "), "a\n\nb\n"):
        with pytest.raises(NotVerified, match=r"note of three|cannot be read"):
            verifier.open_checkpoint(broken, verifier.read_keys(issuer.keys()))


def test_it_runs_alone_from_a_copy_and_asks_for_nothing_else(issuer: Issuer, tmp_path: Path) -> None:
    alone = tmp_path / "verify_certificate.py"
    alone.write_bytes(MODULE.read_bytes())
    certificate = tmp_path / "erasure-certificate.json"
    certificate.write_bytes(_file(issuer.issue()))
    (tmp_path / "keys.json").write_bytes(issuer.keys())

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-I", str(alone), str(certificate)],
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )

    believed = run()
    assert (believed.returncode, believed.stdout.splitlines()[0]) == (0, "VERIFIED")
    certificate.write_bytes(_file(issuer.issue()).replace(b'"count":2', b'"count":3'))
    refused = run()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("NOT VERIFIED: signature")
    (tmp_path / "keys.json").unlink()
    assert run().returncode == 1


def test_a_stranger_can_read_it_in_ten_minutes() -> None:
    text = MODULE.read_text()
    assert text.count("\n") < 400
    imported = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}
