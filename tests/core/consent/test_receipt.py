"""Receipts: their structure, and a signature that a stranger can check with a library of their own."""

import base64
import copy
import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.bootstrap import Parts
from core.consent import receipt, service
from core.consent.models import Purpose
from core.errors import IntegrityError
from tests import scenes

ROOT = "https://likeness.example"
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def decoded(multibase: str) -> bytes:
    """Base58-btc, written anew from its definition."""
    assert multibase[0] == "z"
    number = 0
    for letter in multibase[1:]:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(multibase[1:]) - len(multibase[1:].lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def check(document: dict[str, Any], public_key: bytes) -> None:
    """The steps of `eddsa-jcs-2022` verification. Raises InvalidSignature."""
    unsecured = {name: value for name, value in document.items() if name != "proof"}
    options = {name: value for name, value in document["proof"].items() if name != "proofValue"}

    def digest(value: dict[str, Any]) -> bytes:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()

    Ed25519PublicKey.from_public_bytes(public_key).verify(
        decoded(document["proof"]["proofValue"]), digest(options) + digest(unsecured)
    )


async def _receipt(parts: Parts) -> tuple[dict[str, Any], bytes]:
    platform = await scenes.a_platform(parts)
    subject_id = await scenes.a_person(parts, platform)
    granted = await scenes.consents(parts, platform, subject_id, Purpose.HEADSHOT)
    async with parts.database.tenant(platform.tenant_id) as session:
        entry = await service.get(session, granted[Purpose.HEADSHOT])
        document = await receipt.receipt(session, entry, root=ROOT)
    key = await parts.keyring.signing.active()
    # As it arrives: through JSON and back.
    return json.loads(json.dumps(receipt.prove(document, key, root=ROOT))), key.public_key


async def test_a_receipt_says_what_was_agreed_and_names_nobody(parts: Parts) -> None:
    found, _ = await _receipt(parts)
    assert found["@type"] == "dpv:ConsentReceipt"
    record = found["dpv:hasRecordOfActivity"]
    (process,) = record["dpv:hasProcess"]
    assert process["dpv:hasPurpose"]["dct:title"] == "headshot"
    assert process["dpv:hasConsentStatus"][0]["@type"] == "dpv:ConsentGiven"
    assert process["dpv:hasLegalBasis"] == "dpv:ExplicitlyExpressedConsent"
    assert process["dpv:hasStorageCondition"][0]["dpv:hasDuration"]["rdf:value"] == "P30D"
    digest = decoded(process["dpv:hasNotice"]["sec:digestMultibase"])
    assert digest == b"\x12\x20" + hashlib.sha256(b"We make headshots.").digest()
    assert "anary" not in json.dumps(found)


async def test_a_receipt_is_signed_by_the_deployment_and_any_change_shows(parts: Parts) -> None:
    found, public_key = await _receipt(parts)
    check(found, public_key)
    kid = found["proof"]["verificationMethod"].partition("#")[2]
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()}
    text = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    assert kid == base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
    for path, value in (
        (("dct:created",), "2020-01-01T00:00:00Z"),
        (("dpv:hasRecordOfActivity", "dpv:hasDataSubject", "dct:identifier"), "sub_0"),
        (("proof", "created"), "2020-01-01T00:00:00Z"),
        (("@context", "dpv"), "https://elsewhere.example#"),
    ):
        forged = copy.deepcopy(found)
        place = forged
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        with pytest.raises(InvalidSignature):
            check(forged, public_key)


@pytest.mark.parametrize("value", [{"a": 1}, {"a": 0.5}, {"ä": "x"}, {"a": None}, {"a": [True]}])
def test_what_has_no_one_encoding_is_not_signed(value: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        receipt.canonical(value)
