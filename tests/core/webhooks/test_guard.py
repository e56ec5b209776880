"""Where a webhook may not go. No test here needs the internet: names are resolved by the tests, connections counted."""

import socket
import ssl
from collections.abc import Sequence

import httpcore
import pytest

from core.errors import WebhookTargetRefused
from core.settings import WebhookSettings
from core.webhooks.guard import AddressRefused, GuardedBackend, SystemResolver, check_address, parse_target
from core.webhooks.send import Failure, Sender

PUBLIC = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1:248:1893:25c8:1946"
NOBODY: frozenset[str] = frozenset()

# Refused by their form alone.
HOSTILE_URLS = (
    # other schemes, and none
    "http://example.com/",
    "HTTP://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com:70/_",
    "dict://127.0.0.1:6379/info",
    "ldap://127.0.0.1/",
    "ws://example.com/",
    "wss://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///var/run/docker.sock",
    "//example.com/",
    "example.com/hook",
    "https:example.com",
    "https:/example.com",
    "https:///example.com",
    "https://",
    "",
    # user information
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://example.com:443@127.0.0.1/",
    "https://example.com%40127.0.0.1/",
    "https://@example.com/",
    "https://:@example.com/",
    # what two parsers read differently
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "https:\\\\127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://example.com?@127.0.0.1/#x",
    "https://127.0.0.1#.example.com/",
    "https://exam\tple.com/",
    "https://exa\nmple.com/",
    "https://example.com/\r\nHost: 127.0.0.1",
    "https://example.com/ HTTP/1.1",
    " https://example.com/",
    "https://example.com /",
    "https://exam%70le.com/",
    "https://127.0.0.1%00.example.com/",
    "https://example.com\x00.internal/",
    "https://example.com:443:80/",
    "https://[::1]:443:80/",
    "https://[::1/",
    "https://::1/",
    "https://[::1].example.com/",
    "https://[example.com]/",
    "https://[127.0.0.1]/",
    "https://example..com/",
    "https://.example.com/",
    "https://-example.com/",
    "https://exa;mple.com/",
    "https://exa,mple.com/",
    "https://{example}.com/",
    "https://$example.com/",
    "https://example.com/<script>",
    # letters that become others
    "https://１２７.0.0.1/",
    "https://ⓛocalhost/",
    "https://127。0。0。1/",
    "https://exämple.com/",
    "https://localhost\u200b/",
    # ports
    "https://example.com:0/",
    "https://example.com:22/",
    "https://example.com:25/",
    "https://example.com:80/",
    "https://example.com:65536/",
    "https://example.com:99999/",
    "https://example.com:-1/",
    "https://example.com:/",
    "https://example.com:4a3/",
    # names of this machine, and of private networks
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://localhost:8443/",
    "https://app.localhost/",
    "https://localhost.localdomain/",
    "https://printer.local/",
    "https://metadata/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://vault.internal/",
    "https://router.lan/",
    "https://nas.home.arpa/",
    "https://db.intranet/",
    "https://postgres/",
    "https://kubernetes.default.svc.cluster.local/",
)
# Addresses written as addresses.
HOSTILE_ADDRESSES = (
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 (nothing is bound)
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:93.184.216.34]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::93.184.216.34]",
    "[64:ff9b:1::a00:1]",
    "[100::1]",
    "[100:0:0:1::1]",
    "[2001::1]",
    "[2001:0:7f00:1::]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2002:c0a8:101::]",
    "[2620:4f:8000::1]",
    "[2a00:1450:4001:81b:0:5efe:7f00:1]",
    "[2a00:1450:4001:81b:200:5efe:a00:1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
)
# Numbers that the C library reads as addresses.
DISGUISED_ADDRESSES = (
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "0177.0x0.0.1",
    "00000177.0.0.1",
    "0",
    "0x0",
    "10.1",
    "0xa.0.0.1",
    "167772161",
    "192.168.257",
    "0xc0.0xa8.0x1.0x1",
    "3232235777",
    "0xa9fea9fe",
    "2852039166",
    "169.254.43518",
    "0251.0376.0251.0376",
    "4294967295",
)


class RecordingDial(httpcore.AsyncNetworkBackend):
    """Where connections would have gone."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def connect_tcp(self, host: str, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        raise httpcore.ConnectError("nobody is here")


class Names:
    """A name server of ours: each question gets the next of its answers, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.questions.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


_TLS = ssl.create_default_context()  # costly to make, and no connection gets as far as using it


async def _post(url: str, resolve: Names | None, dial: RecordingDial) -> Failure | None:
    sender = Sender(WebhookSettings(timeout_seconds=5), resolve=resolve, dial=dial, tls=_TLS)
    try:
        return (await sender.post(url, body=b"{}", headers={})).failure
    finally:
        await sender.close()


def test_the_table_of_hostile_targets_is_long_enough() -> None:
    assert len({*HOSTILE_URLS, *HOSTILE_ADDRESSES, *DISGUISED_ADDRESSES}) >= 120


@pytest.mark.parametrize("url", HOSTILE_URLS)
async def test_a_hostile_url_is_refused_by_its_form_even_if_it_leads_to_a_public_address(url: str) -> None:
    with pytest.raises(WebhookTargetRefused):
        parse_target(url, allowed_hosts=NOBODY)
    dial, names = RecordingDial(), Names([PUBLIC])
    assert await _post(url, names, dial) is Failure.TARGET_REFUSED
    assert (dial.addresses, names.questions) == ([], [])


@pytest.mark.parametrize("host", [*HOSTILE_ADDRESSES, *DISGUISED_ADDRESSES])
async def test_an_address_that_is_not_public_is_refused_however_it_is_written(host: str) -> None:
    with pytest.raises(WebhookTargetRefused):
        parse_target(f"https://{host}/", allowed_hosts=NOBODY)
    dial = RecordingDial()
    assert await _post(f"https://{host}:8443/hook", None, dial) is Failure.TARGET_REFUSED
    assert dial.addresses == []


@pytest.mark.parametrize("host", [*HOSTILE_ADDRESSES, *DISGUISED_ADDRESSES])
async def test_the_connection_itself_refuses_it_too_if_the_form_had_let_it_pass(host: str) -> None:
    # The system's own resolver reads the disguises; no name server is asked for a number.
    dial, names = RecordingDial(), SystemResolver(threads=1)
    guard = GuardedBackend(allowed_hosts=NOBODY, resolve=names, dial=dial)
    with pytest.raises(AddressRefused):
        await guard.connect_tcp(host.strip("[]"), 443)
    assert dial.addresses == []
    names.close()


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
async def test_a_harmless_name_that_leads_to_such_an_address_is_refused(address: str) -> None:
    dial = RecordingDial()
    names = Names([address.strip("[]")])
    assert await _post("https://hooks.example.com/", names, dial) is Failure.TARGET_REFUSED
    assert dial.addresses == []


@pytest.mark.parametrize(
    "answer",
    [
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, PUBLIC_V6, "fd00:ec2::254"],
        [PUBLIC, "::ffff:10.0.0.1"],
        [PUBLIC, "fe80::1%eth0"],
        [PUBLIC, "not an address"],
    ],
)
async def test_one_address_out_of_place_condemns_the_whole_answer(answer: list[str]) -> None:
    dial = RecordingDial()
    assert await _post("https://hooks.example.com/", Names(answer), dial) is Failure.TARGET_REFUSED
    assert dial.addresses == []


async def test_an_answer_that_changes_between_check_and_connect_changes_nothing() -> None:
    dial = RecordingDial()
    names = Names([PUBLIC], ["127.0.0.1"])
    assert await _post("https://rebind.example.com/", names, dial) is Failure.CONNECTION_FAILED
    assert dial.addresses == [PUBLIC], "the address that was checked is the one that was dialled"
    assert names.questions == ["rebind.example.com"], "it was asked for once"
    # The next delivery asks again, and is refused.
    assert await _post("https://rebind.example.com/", names, dial) is Failure.TARGET_REFUSED
    assert dial.addresses == [PUBLIC]


async def test_each_public_address_of_a_name_is_tried_in_turn() -> None:
    dial = RecordingDial()
    await _post("https://hooks.example.com/", Names([PUBLIC_V6, PUBLIC]), dial)
    assert dial.addresses == [PUBLIC_V6, PUBLIC]


async def test_a_name_that_leads_nowhere_is_said_to_be_unknown() -> None:
    dial = RecordingDial()
    assert await _post("https://nothing.example.com/", Names([]), dial) is Failure.NAME_UNKNOWN
    assert dial.addresses == []


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
    dial = RecordingDial()
    await _post("https://hooks.example.com/", Names([PUBLIC]), dial)
    assert dial.addresses == [PUBLIC]


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://example.com", "example.com"),
        ("https://Hooks.Example.COM/a/b?c=d&e=%20", "hooks.example.com"),
        ("https://example.com:443/", "example.com"),
        ("https://example.com:8443/", "example.com:8443"),
        ("https://xn--exmple-cua.com/", "xn--exmple-cua.com"),
        ("https://a_b.example.co.uk/", "a_b.example.co.uk"),
        (f"https://{PUBLIC}/", PUBLIC),
        (f"https://[{PUBLIC_V6}]:1024/", f"[{PUBLIC_V6}]:1024"),
    ],
)
def test_ordinary_urls_are_taken(url: str, authority: str) -> None:
    assert parse_target(url, allowed_hosts=NOBODY).authority == authority


def test_a_named_host_may_be_private_and_plain_and_only_that_one() -> None:
    allowed = frozenset({"127.0.0.1", "receiver"})
    assert parse_target("http://127.0.0.1:9/x", allowed_hosts=allowed).exempt
    assert parse_target("http://receiver:80/", allowed_hosts=allowed).port == 80
    for other in ("http://127.0.0.2/", "http://127.1/", "http://a.receiver/", "http://receiver.example.com/"):
        with pytest.raises(WebhookTargetRefused):
            parse_target(other, allowed_hosts=allowed)


def test_every_address_of_the_private_ranges_edges_is_refused_and_their_neighbours_are_not() -> None:
    for neighbour in ("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"):
        assert check_address(neighbour) == neighbour
    for neighbour in ("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "223.255.255.255"):
        assert check_address(neighbour) == neighbour


async def test_the_systems_resolver_answers_and_refuses_to_guess() -> None:
    names = SystemResolver(threads=1)
    assert "127.0.0.1" in await names("localhost", 443)
    names.close()
    assert socket.inet_aton("127.1") == socket.inet_aton("127.0.0.1"), "the disguises are real"
