"""Signatures, as the public library of Standard Webhooks reads them."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from core.keyring.signing_keys import SigningKey
from core.webhooks import signing

KEY = SigningKey(bytes(range(32)))

BODY = signing.body("headshot.completed", at=datetime(2026, 11, 23, 1, 2, 3, 456_000, UTC), data={"job_id": "job_1"})


def _signed(*with_secrets: bytes, at: datetime | None = None, payload: bytes = BODY) -> dict[str, str]:
    return signing.headers(
        "evt_1", at=at or datetime.now(UTC), payload=payload, with_secrets=with_secrets, with_key=KEY
    )


def test_the_body_is_type_timestamp_and_data() -> None:
    assert json.loads(BODY) == {
        "type": "headshot.completed",
        "timestamp": "2026-11-23T01:02:03.456Z",
        "data": {"job_id": "job_1"},
    }


def test_the_public_library_verifies_what_we_sign() -> None:
    secret = signing.new_secret()
    assert Webhook(signing.secret_text(secret)).verify(BODY, _signed(secret)) == json.loads(BODY)


def test_our_signature_is_the_librarys_own() -> None:
    secret, at = signing.new_secret(), datetime.now(UTC)
    ours = _signed(secret, at=at)["webhook-signature"].split(" ")
    assert ours[0] == Webhook(secret).sign("evt_1", at, BODY.decode())


def test_a_stranger_without_the_secret_checks_the_message_with_the_published_key() -> None:
    headers = _signed(signing.new_secret())
    version, _, signature = headers["webhook-signature"].split(" ")[-1].partition(",")
    assert version == "v1a"
    published = Ed25519PublicKey.from_public_bytes(KEY.public_key)
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), BODY))
    published.verify(base64.b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        published.verify(base64.b64decode(signature), signed.replace(b"job_1", b"job_2"))


def test_secrets_have_32_random_bytes_and_the_prefix() -> None:
    texts = {signing.secret_text(signing.new_secret()) for _ in range(50)}
    assert len(texts) == 50
    assert all(text.startswith("whsec_") and len(base64.b64decode(text[6:])) == 32 for text in texts)


def test_while_a_secret_rotates_the_old_and_the_new_both_verify() -> None:
    old, new = signing.new_secret(), signing.new_secret()
    headers = _signed(new, old)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(BODY, headers)


def test_a_changed_body_id_or_time_does_not_verify() -> None:
    secret = signing.new_secret()
    headers = _signed(secret)
    receiver = Webhook(secret)
    later = str(int(headers["webhook-timestamp"]) + 1)
    for body, changed in (
        (BODY.replace(b"job_1", b"job_2"), {}),
        (BODY, {"webhook-id": "evt_2"}),
        (BODY, {"webhook-timestamp": later}),
    ):
        with pytest.raises(WebhookVerificationError):
            receiver.verify(body, headers | changed)


def test_a_replayed_message_is_too_old() -> None:
    secret = signing.new_secret()
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, _signed(secret, at=datetime.now(UTC) - timedelta(minutes=6)))


def test_nothing_goes_out_unsigned_or_with_an_id_that_could_be_misread() -> None:
    at = datetime.now(UTC)
    with pytest.raises(ValueError, match="signed"):
        signing.headers("evt_1", at=at, payload=BODY, with_secrets=[], with_key=KEY)
    with pytest.raises(ValueError, match="full stop"):
        signing.headers("evt.1", at=at, payload=BODY, with_secrets=[b"x"], with_key=KEY)
