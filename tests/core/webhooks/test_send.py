"""One message to one receiver, over real sockets."""

import ssl
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.settings import WebhookSettings
from core.webhooks.send import Failure, Outcome, Sender
from tests.core.webhooks.receivers import a_receiver, answers, babbles, drips, floods, hangs

SETTINGS = WebhookSettings(allowed_hosts=frozenset({"127.0.0.1"}), timeout_seconds=0.4)
NAME = "hooks.platform.example.com"


@asynccontextmanager
async def _a_sender() -> AsyncIterator[Sender]:
    sender = Sender(SETTINGS)
    yield sender
    await sender.close()


async def _post(url: str) -> Outcome:
    async with _a_sender() as sender:
        return await sender.post(url, body=b'{"a":1}', headers={"webhook-id": "evt_1"})


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_a_2xx_answer_is_a_delivery(status: int) -> None:
    async with a_receiver(answers(status)) as receiver:
        assert await _post(receiver.url) == Outcome(status, None)
    (request,) = receiver.requests
    assert request.target == "/hook?canary-query=1"
    assert request.body == b'{"a":1}'
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (301, Failure.REDIRECT_REFUSED),
        (307, Failure.REDIRECT_REFUSED),
        (308, Failure.REDIRECT_REFUSED),
        (400, Failure.BAD_STATUS),
        (410, Failure.GONE),
        (429, Failure.BAD_STATUS),
        (500, Failure.BAD_STATUS),
    ],
)
async def test_another_answer_is_told_by_its_kind(status: int, failure: Failure) -> None:
    async with a_receiver(answers(status)) as receiver:
        assert await _post(receiver.url) == Outcome(status, failure)


async def test_a_redirect_is_not_followed_even_to_a_host_that_is_allowed() -> None:
    async with a_receiver(answers(200)) as elsewhere, a_receiver(answers(307, location=elsewhere.url)) as receiver:
        assert (await _post(receiver.url)).failure is Failure.REDIRECT_REFUSED
    assert (len(receiver.requests), len(elsewhere.requests)) == (1, 0)


async def test_a_receiver_that_hangs_or_drips_is_left_at_the_time_limit() -> None:
    for manner in (hangs, drips):
        async with a_receiver(manner) as receiver:
            began = time.monotonic()
            outcome = await _post(receiver.url)
        assert outcome.status is None
        assert outcome.failure in {Failure.TIMEOUT, Failure.PROTOCOL_ERROR}
        assert time.monotonic() - began < 2


async def test_a_flood_after_a_yes_is_a_yes_and_is_not_read() -> None:
    async with a_receiver(floods) as receiver:
        began = time.monotonic()
        assert await _post(receiver.url) == Outcome(200, None)
        assert time.monotonic() - began < 2


async def test_a_server_of_another_kind_and_a_closed_port_are_told_apart() -> None:
    async with a_receiver(babbles) as receiver:
        assert (await _post(receiver.url)).failure is Failure.PROTOCOL_ERROR
    assert (await _post(receiver.url)).failure is Failure.CONNECTION_FAILED


async def test_a_connection_is_used_again() -> None:
    async with a_receiver(answers(200)) as receiver, _a_sender() as sender:
        for _ in range(3):
            assert (await sender.post(receiver.url, body=b"{}", headers={})).failure is None
    assert len(receiver.requests) == 3


def _a_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem


class _OneRoad(httpcore.AsyncNetworkBackend):
    """An internet on which every address is a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, port))
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout, local_address, socket_options)


async def _public(_host: str, _port: int) -> Sequence[str]:
    return ["93.184.216.34"]


@pytest.mark.parametrize(("host", "failure"), [(NAME, None), ("other.example.com", Failure.TLS_FAILED)])
async def test_the_connection_goes_to_the_checked_address_and_tls_to_the_name(
    tmp_path: Path, host: str, failure: Failure | None
) -> None:
    certificate, key = _a_certificate(tmp_path, NAME)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    names: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: names.append(name)
    async with a_receiver(answers(204), tls=served) as receiver:
        road = _OneRoad(receiver.port)
        tls = ssl.create_default_context(cafile=certificate)
        sender = Sender(WebhookSettings(timeout_seconds=5), resolve=_public, dial=road, tls=tls)
        outcome = await sender.post(f"https://{host}/hook", body=b"{}", headers={})
        await sender.close()
    assert outcome.failure is failure
    assert road.asked == [("93.184.216.34", 443)]
    assert names == [host]
    assert [request.headers["host"] for request in receiver.requests] == ([NAME] if failure is None else [])
