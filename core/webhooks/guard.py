"""Where a webhook may go: https to public addresses, and nowhere else.

Invariants of this file:
- A URL is parsed once, by `parse_target`, whose grammar is narrower than any URL standard. What it returns is what is
  connected to; no second parser ever sees the text, so no two parsers can disagree about the host.
- A name is resolved once per connection. Every address of the answer must be public, and the connection goes to one of
  these very addresses: an answer that changes between check and connect changes nothing.
- `allowed_hosts` names hosts that are exempt (development). It holds exact names, no patterns.
- No proxy, no environment variable and no redirect takes part.

Ports: 443, and any from 1024. The other low ports belong to mail, ssh and the like; nobody shall have us knock there.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore

from core.errors import WebhookTargetRefused

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_URL = 2048
_MAX_NAME = 253
_PORTS = {"https": 443, "http": 80}
_FIRST_HIGH_PORT = 1024
_LAST_PORT = 65_535
_SECONDS_PER_ADDRESS = 5.0
_ADDRESSES_TRIED = 4

# scheme :// host or [IPv6] :port /path?query, in visible ASCII without quotes, brackets and backslashes.
_URL = re.compile(
    r"""(?P<scheme>https?)://
        (?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*)?
        (?P<query>\?[A-Za-z0-9/?._~!$&'()*+,;=:@%-]*)?""",
    re.VERBOSE | re.ASCII,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
# A last label that starts with a digit is no top-level domain, but an address in some reader's eyes: 127.1, 0x7f.1.
_TOP_LABEL = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_PRIVATE_NAMES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa")

# https://www.iana.org/assignments/iana-ipv4-special-registry, multicast, and one platform's address in public space.
_REFUSED_V4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent
        "169.254.0.0/16",  # link-local: cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnelling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# https://www.iana.org/assignments/iana-ipv6-special-registry. Only global unicast is considered at all, which leaves
# out loopback, link-local, unique-local, multicast, IPv4-mapped and -compatible addresses and NAT64 (64:ff9b::/96).
_GLOBAL_UNICAST = ip_network("2000::/3")
_REFUSED_V6 = tuple(
    ip_network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # the third quarter of an address that tunnels to the IPv4 address after it


class AddressRefused(Exception):
    """A name leads to an address that is not public. It carries no address: it may reach a log."""


class NameUnknown(Exception):
    """A name leads nowhere."""


@dataclass(frozen=True)
class Target:
    """A URL taken apart. `path` includes the query; `exempt` means that `allowed_hosts` names the host."""

    scheme: str
    host: str
    port: int
    path: str
    exempt: bool

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_target(url: str, *, allowed_hosts: frozenset[str]) -> Target:
    """Take a URL apart. Raises `WebhookTargetRefused` unless its form is one that we deliver to.

    This looks at the text alone: whether the name leads to a public address is seen when connecting.
    """
    found = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    if found is None:
        raise WebhookTargetRefused(
            "The URL must be plain: https://name/path, with no user, fragment or odd characters."
        )
    scheme, host = found["scheme"], found["host"].strip("[]").lower()
    exempt = host in allowed_hosts
    port = int(found["port"]) if found["port"] else _PORTS[scheme]
    path = (found["path"] or "/") + (found["query"] or "")
    if not exempt:
        if scheme != "https":
            raise WebhookTargetRefused("The URL must begin with https://.")
        if port != _PORTS["https"] and not _FIRST_HIGH_PORT <= port <= _LAST_PORT:
            raise WebhookTargetRefused("The port must be 443, or 1024 and above.")
        _check_host(host)
    elif not 0 < port <= _LAST_PORT:
        raise WebhookTargetRefused("There is no such port.")
    return Target(scheme=scheme, host=host, port=port, path=path, exempt=exempt)


def check_address(text: str) -> str:
    """The address in canonical form, if it is public. Raises `AddressRefused`."""
    try:
        address = ip_address(text)
    except ValueError:
        raise AddressRefused from None
    public = _is_public_v4(address) if isinstance(address, IPv4Address) else _is_public_v6(address)
    if not public or not address.is_global or address.is_multicast:
        raise AddressRefused
    return str(address)


class SystemResolver:
    """The resolver of the operating system, in threads of its own.

    asyncio's shared threads are few: a handful of name servers that never answer would hold up every other lookup.
    """

    def __init__(self, *, threads: int = 64) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="likeness-names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Every address of a name. Raises `NameUnknown`."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, _look_up, host, port)
        except (OSError, UnicodeError):
            raise NameUnknown from None

    def close(self) -> None:
        """Let the threads end; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections for httpcore: resolve, check every address, connect to one that was checked.

    TLS and the Host header go on using the name, because httpcore holds it apart from the connection.
    dial: opens a connection to an address; the tests count its calls.
    """

    def __init__(
        self, *, allowed_hosts: frozenset[str], resolve: Resolver, dial: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        self._allowed_hosts = allowed_hosts
        self._resolve = resolve
        self._dial = dial or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises `AddressRefused`, `NameUnknown`, or httpcore's connection errors."""
        answers = list(await self._resolve(host, port))
        if not answers:
            raise NameUnknown
        # One address out of place condemns the answer: whoever mixes them is trying which one we take.
        addresses = answers if host in self._allowed_hosts else [check_address(answer) for answer in answers]
        patience = _SECONDS_PER_ADDRESS if timeout is None else min(timeout, _SECONDS_PER_ADDRESS)
        failure: Exception = httpcore.ConnectError("no address answered")
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await self._dial.connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 (httpcore's signature)
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 (the same)
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 (the same)
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise AddressRefused

    async def sleep(self, seconds: float) -> None:
        """Wait between httpcore's own retries, of which we allow none."""
        await asyncio.sleep(seconds)


def _look_up(host: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


def _check_host(host: str) -> None:
    """Refuse addresses that are not public and names that cannot be public."""
    if _is_address(host):
        try:
            check_address(host)
        except AddressRefused:
            raise WebhookTargetRefused from None
        return
    labels = host.split(".")
    if len(host) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise WebhookTargetRefused("The host must be a domain name; write an international one in its xn-- form.")
    if len(labels) == 1 or not _TOP_LABEL.fullmatch(labels[-1]):
        raise WebhookTargetRefused("The host must be a full domain name.")
    if any(host == name or host.endswith(f".{name}") for name in _PRIVATE_NAMES):
        raise WebhookTargetRefused


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _REFUSED_V4)


def _is_public_v6(address: IPv6Address) -> bool:
    tunnels = (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP
    return (
        address.scope_id is None
        and not tunnels
        and address in _GLOBAL_UNICAST
        and not any(address in network for network in _REFUSED_V6)
    )
