"""Check an erasure certificate, offline: from the file and the published keys, and from nothing else.

This module is meant to be read by whoever wants to believe it. It uses Python and `cryptography`, imports nothing else
of the project, asks no server, and can be copied out and run by itself:

    python verify_certificate.py erasure-certificate.json --keys keys.json

A certificate is one JSON object in canonical form (RFC 8785: sorted names, no spaces; no numbers but integers), and a
newline. Its three members are the `certificate` itself, what the audit `log` says of it, and a `signature`. It holds
when each of these holds:

    1. form         the file is exactly the canonical form of what it says, so nothing can hide in its spelling
    2. signature    Ed25519, by a published key, over the certificate's `format`, a newline, and the canonical form of
                    {certificate, log}
    3. binding      the log's leaf commits to this very certificate: commitment = HMAC-SHA-256(salt, its digest)
    4. inclusion    the leaf is in the log: its audit path (RFC 6962) leads to the root of the checkpoint
    5. checkpoint   that root was signed as the state of this tenant's log (C2SP tlog-checkpoint)
    6. sense        the times are in order, and no scan found anything

There are three kinds, told apart by `format`: of one person, of a whole tenant that left, and the second part of
either, which says that no backup holds the key any more (`verify_both` checks that it belongs to its first).

The log is why a certificate cannot be made up later or exist in two versions: whoever keeps an earlier checkpoint can
have it proved that the log only grew (`check_consistency`), or read the whole log again (`check_log`).
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "likeness.erasure-certificate.v1"
TENANT_FORMAT = "likeness.tenant-erasure-certificate.v1"
HORIZON_FORMAT = "likeness.backup-horizon.v1"
# What the log's leaf of each kind of document is called.
LEAF_KINDS = {
    FORMAT: "erasure.certified",
    TENANT_FORMAT: "tenant.erased",
    HORIZON_FORMAT: "erasure.horizon_passed",
}
LARGEST_BYTES = 1 << 20
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_SIGNATURE_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+=*)")


class NotVerified(Exception):
    """The certificate, checkpoint or log does not hold. The message says which of the checks failed."""


Keys = dict[str, bytes]  # name of the key (RFC 7638 thumbprint) → 32 bytes


def canonical(value: object) -> bytes:
    """RFC 8785 for what occurs here: objects, arrays, text, whole numbers, true, false, null."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def read_keys(document: bytes) -> Keys:
    """The keys of a JSON Web Key Set, as `/.well-known/likeness/keys` publishes it. Each must bear its own name."""
    keys: Keys = {}
    for key in _parse(document).get("keys", []):
        members = {name: str(key.get(name)) for name in ("crv", "kty", "x")}
        named = base64.urlsafe_b64encode(hashlib.sha256(canonical(members)).digest()).rstrip(b"=").decode()
        if (members["kty"], members["crv"], key.get("kid")) == ("OKP", "Ed25519", named):
            keys[named] = base64.urlsafe_b64decode(members["x"] + "=")
    if not keys:
        raise NotVerified("keys: there is no usable Ed25519 key in the key file")
    return keys


def verify(document: bytes, keys: Keys) -> dict[str, Any]:
    """The certificate in a file's bytes, if all of it holds. Raises NotVerified."""
    # 1. Form.
    found = _parse(document)
    if canonical(found) + b"\n" != document:
        raise NotVerified("form: the file is not the canonical form of what it says")
    if set(found) != {"certificate", "log", "signature"}:
        raise NotVerified("form: other members than certificate, log and signature")
    certificate, log, signature = (_members(found[name]) for name in ("certificate", "log", "signature"))
    # 2. Signature.
    if set(signature) != {"alg", "kid", "value"} or signature["alg"] != "Ed25519":
        raise NotVerified("signature: not an Ed25519 signature")
    key = keys.get(str(signature["kid"]))
    if key is None:
        raise NotVerified("signature: by a key that is not among the published ones")
    form = str(certificate.get("format"))
    if form not in LEAF_KINDS:
        raise NotVerified("form: another format")
    signed = form.encode() + b"\n" + canonical({"certificate": certificate, "log": log})
    check_signature(key, unhex(signature["value"]), signed, "signature: it does not verify")
    # 3. Binding.
    entry = str(log.get("entry"))
    leaf = _members(_parse(entry.encode()))
    _check_binding(certificate, leaf, salt=unhex(log.get("salt")))
    # 4. Inclusion, in the tree of
    # 5. the checkpoint.
    checkpoint = open_checkpoint(str(log.get("checkpoint")), keys)
    if checkpoint.origin != f"likeness/{certificate.get('tenant')}":
        raise NotVerified("checkpoint: of another log")
    path = [unhex(step) for step in log.get("proof", [])]
    number = log.get("number")
    if not isinstance(number, int):
        raise NotVerified("inclusion: the leaf has no number")
    if root_from_inclusion(hash_leaf(entry.encode()), number, checkpoint.size, path) != checkpoint.root:
        raise NotVerified("inclusion: the leaf is not in the log of the checkpoint")
    # 6. Sense.
    _check_sense(certificate)
    return certificate


def _check_binding(certificate: dict[str, Any], leaf: dict[str, Any], *, salt: bytes) -> None:
    identifier = str(certificate.get("id"))
    bound = {
        "certificate": identifier.removeprefix("ec_"),
        "digest": hashlib.sha256(canonical(certificate)).hexdigest(),
        "subject": None,
    }
    commitment = hmac.digest(salt, canonical(bound), "sha256").hex()
    if not hmac.compare_digest(commitment, str(leaf.get("commitment"))):
        raise NotVerified("binding: the log's leaf is about another certificate")
    kind = LEAF_KINDS[str(certificate["format"])]
    if leaf.get("kind") != kind or f"ten_{leaf.get('tenant')}" != certificate.get("tenant"):
        raise NotVerified("binding: the log's leaf is about something else")


def _check_sense(certificate: dict[str, Any]) -> None:
    if certificate["format"] == HORIZON_FORMAT:
        _check_horizon(certificate)
        return
    try:
        times = [datetime.fromisoformat(certificate[name]) for name in ("shredded_at", "erased_at", "issued_at")]
        clean = all(scan["found"] == 0 for scan in certificate["scans"])
        complete = {"database", "key store", "objects"} <= {scan["store"] for scan in certificate["scans"]}
    except (KeyError, TypeError, ValueError) as error:
        raise NotVerified("sense: times or scans are missing") from error
    if times != sorted(times):
        raise NotVerified("sense: its times are not in order")
    if not clean or not complete:
        raise NotVerified("sense: a scan found something, or was not made")


def _check_horizon(second: dict[str, Any]) -> None:
    try:
        times = [datetime.fromisoformat(second[name]) for name in ("shredded_at", "passed_at", "issued_at")]
        times[0] += timedelta(days=int(second["horizon_days"]))
        done = int(second["copies_held"]) == 0 and int(second["tenant_key_version"]) > 0
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise NotVerified("sense: times or counts are missing") from error
    if times != sorted(times) or not done:
        raise NotVerified("sense: its horizon was not past, or a copy is left")


def verify_both(first: bytes, second: bytes, keys: Keys) -> dict[str, Any]:
    """The second part, if it holds and is about this very certificate, which holds as well. Raises NotVerified."""
    certificate, horizon = verify(first, keys), verify(second, keys)
    if horizon["format"] != HORIZON_FORMAT or horizon.get("sha256") != hashlib.sha256(first).hexdigest():
        raise NotVerified("second part: it is not about this certificate")
    if any(horizon.get(name) != certificate.get(name) for name in ("tenant", "subject", "shredded_at")):
        raise NotVerified("second part: it contradicts the certificate")
    if horizon["tenant_key_version"] < certificate["backups"]["tenant_key_version"]:
        raise NotVerified("second part: it does not reach the key of the certificate")
    return horizon


@dataclass(frozen=True)
class Checkpoint:
    """The state of a log that somebody signed. root: the RFC 6962 hash over its first `size` leaves."""

    origin: str
    size: int
    root: bytes


def open_checkpoint(note: str, keys: Keys) -> Checkpoint:
    """The checkpoint in a signed note, if a published key signed it under the log's own name. Raises NotVerified."""
    text, blank, lines = note.rpartition("\n\n")
    body = (text + "\n").split("\n")
    if not blank or len(body) != 4 or not lines.endswith("\n"):  # noqa: PLR2004 (three lines, each with its newline)
        raise NotVerified("checkpoint: not a signed note of three lines")
    origin, size, root = body[:3]
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or len(_unbase64(root)) != hashlib.sha256().digest_size:
        raise NotVerified("checkpoint: its size or root cannot be read")
    for line in lines.splitlines():
        matched = _SIGNATURE_LINE.fullmatch(line)
        if matched is None:
            raise NotVerified("checkpoint: a signature line cannot be read")
        blob = _unbase64(matched[2])
        for key in keys.values():
            if matched[1] == origin and blob[:4] == note_key_id(origin, key):
                check_signature(key, blob[4:], (text + "\n").encode(), "checkpoint: its signature does not verify")
                return Checkpoint(origin, int(size), _unbase64(root))
    raise NotVerified("checkpoint: no published key signed it")


def note_key_id(name: str, public_key: bytes) -> bytes:
    """C2SP signed-note: SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)[:4]; 0x01 stands for Ed25519."""
    return hashlib.sha256(name.encode() + b"\n\x01" + public_key).digest()[:4]


def hash_leaf(leaf: bytes) -> bytes:
    """RFC 6962, 2.1: SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_inclusion(leaf_hash: bytes, number: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the audit path of a leaf leads to (RFC 9162, 2.1.3.2). Raises NotVerified if it fits no tree."""
    if not 0 <= number < size:
        raise NotVerified("inclusion: the leaf's number is not in the tree")
    place, last, found = number, size - 1, leaf_hash
    for step in path:
        if last == 0:
            raise NotVerified("inclusion: the path is too long")
        if place % 2 or place == last:
            found = _parent(step, found)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            found = _parent(found, step)
        place, last = place // 2, last // 2
    if last:
        raise NotVerified("inclusion: the path is too short")
    return found


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raise NotVerified unless the proof shows that the later tree begins with the earlier one (RFC 9162, 2.1.4.2)."""
    if old > size:
        raise NotVerified("consistency: the log has shrunk")
    if old in {0, size}:
        if proof or (old == size and old_root != root):
            raise NotVerified("consistency: two states of one size, or a proof of nothing")
        return
    # A complete earlier tree is a node of the later one, and the proof leaves it out.
    steps = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if _roots_from_consistency(old, size, steps) != (old_root, root):
        raise NotVerified("consistency: the later log does not begin with the earlier one")


def _roots_from_consistency(old: int, size: int, steps: Sequence[bytes]) -> tuple[bytes, bytes]:
    if not steps:
        raise NotVerified("consistency: the proof is empty")
    place, last = old - 1, size - 1
    while place % 2:
        place, last = place // 2, last // 2
    old_found = found = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise NotVerified("consistency: the proof is too long")
        if place % 2 or place == last:
            old_found, found = _parent(step, old_found), _parent(step, found)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            found = _parent(found, step)
        place, last = place // 2, last // 2
    if last:
        raise NotVerified("consistency: the proof is too short")
    return old_found, found


def check_log(leaves: Sequence[bytes], checkpoint: Checkpoint) -> None:
    """Raise NotVerified unless these leaves, the whole log in order, begin with what the checkpoint signed."""
    if len(leaves) < checkpoint.size:
        raise NotVerified("log: it is shorter than when the checkpoint was signed")
    peaks: list[tuple[int, bytes]] = []  # roots of complete subtrees, largest first
    for leaf in leaves[: checkpoint.size]:
        count, found = 1, hash_leaf(leaf)
        while peaks and peaks[-1][0] == count:
            count, found = count * 2, _parent(peaks.pop()[1], found)
        peaks.append((count, found))
    root = peaks.pop()[1] if peaks else hashlib.sha256(b"").digest()
    while peaks:
        root = _parent(peaks.pop()[1], root)
    if root != checkpoint.root:
        raise NotVerified("log: it is not the one that the checkpoint was signed over")


def _parse(document: bytes) -> dict[str, Any]:
    if len(document) > LARGEST_BYTES:
        raise NotVerified("form: too large")
    try:
        return _members(json.loads(document.decode(), parse_float=_refuse, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise NotVerified("form: not JSON") from error


def _refuse(text: str) -> None:
    raise ValueError(text)


def _members(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotVerified("form: an object was expected")
    return value


def unhex(text: object) -> bytes:
    """The bytes that lower-case hexadecimal text stands for. Raises NotVerified."""
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise NotVerified("form: hexadecimal text was expected")
    return bytes.fromhex(text)


def _unbase64(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NotVerified("form: base64 was expected") from error
    if base64.b64encode(found).decode() != text:
        raise NotVerified("form: base64 with stray bits")
    return found


def check_signature(public_key: bytes, signature: bytes, message: bytes, otherwise: str) -> None:
    """Raise NotVerified(otherwise) unless it is the Ed25519 signature of the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise NotVerified(otherwise) from error


def verify_files(certificate: Path, keys: Path | None = None, second: Path | None = None) -> dict[str, Any]:
    """The certificate in a file, checked with the keys in another: by default `keys.json` beside it.

    second: its second part. Then both are checked, and that they belong together, and the second is the answer.
    """
    keys = keys or certificate.with_name("keys.json")
    try:
        published = read_keys(keys.read_bytes())
        if second is not None:
            return verify_both(certificate.read_bytes(), second.read_bytes(), published)
        return verify(certificate.read_bytes(), published)
    except OSError as error:
        raise NotVerified(f"files: {error.filename} cannot be read") from error


def describe(certificate: dict[str, Any]) -> str:
    """What a certificate says, in a few lines."""
    if certificate["format"] == HORIZON_FORMAT:
        shown = ("certificate", "tenant", "subject", "shredded_at", "passed_at", "tenant_key_version", "meaning")
        said = {"subject": "everybody", **certificate}
        return "\n".join(f"{name:<19} {said.get(name)}" for name in shown)
    objects = ", ".join(f"{one['count']} {one['class']}" for one in certificate["erased"]["objects"]) or "none"
    scans = ", ".join(f"{scan['store']} ({scan['looked_at']})" for scan in certificate["scans"])
    lines = {
        "certificate": certificate["id"],
        "subject": f"{certificate.get('subject') or 'everybody'} of {certificate['tenant']}",
        "key destroyed": certificate["shredded_at"],
        "all else gone": certificate["erased_at"],
        "objects erased": objects,
        "scanned, clean": scans,
        "backups": f"{certificate['backups']['state']}: {certificate['backups']['meaning']}",
    }
    return "\n".join(f"{name:<15} {text}" for name, text in lines.items())


def main() -> int:
    """Run from the command line. Exit status 0 if the certificate holds, 1 if not."""
    parser = argparse.ArgumentParser(description="Check a Likeness erasure certificate, offline.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--keys", type=Path, help="the published keys; by default keys.json beside the certificate")
    parser.add_argument("--second", type=Path, help="its second part: that the backup horizon has passed")
    asked = parser.parse_args()
    try:
        found = verify_files(asked.certificate, asked.keys, asked.second)
    except NotVerified as error:
        sys.stderr.write(f"NOT VERIFIED: {error}\n")
        return 1
    sys.stdout.write(f"VERIFIED\n{describe(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
