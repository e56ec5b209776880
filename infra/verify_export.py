"""Check an export of a person, offline: from the file and the published keys, and from nothing else.

This module is meant to be read by whoever wants to believe it. With `verify_certificate.py` beside it, it can be copied
out and run by itself:

    python verify_export.py export.zip --keys keys.json

An export is a ZIP. It holds when each of these holds:

    1. form       its names are plain and occur once, and `manifest.json` is exactly the canonical form of what it says
    2. signature  Ed25519, by a published key, over "likeness-export/1", a newline, and the canonical form of everything
                  in the manifest but the signature
    3. files      the manifest lists every file of the ZIP and no other, each with its length and its SHA-256
    4. log        every leaf of `data/audit.json` is in the platform's log: its audit path (RFC 6962) leads to the root
                  in `data/log.json`, which a published key signed; a leaf that was too young to have a path is counted
    5. consents   every entry of `data/consents.json` is what a leaf commits to:
                  commitment = HMAC-SHA-256(salt, the canonical form of {action, consent, notice, purpose, subject})
"""

import argparse
import hashlib
import hmac
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

try:
    from infra.verify_certificate import (
        Keys,
        NotVerified,
        canonical,
        check_signature,
        hash_leaf,
        open_checkpoint,
        read_keys,
        root_from_inclusion,
        unhex,
    )
except ImportError:  # copied out, with the other beside it
    from verify_certificate import (  # type: ignore[import-not-found,no-redef]
        Keys,
        NotVerified,
        canonical,
        check_signature,
        hash_leaf,
        open_checkpoint,
        read_keys,
        root_from_inclusion,
        unhex,
    )

FORMAT = "likeness-export/1"
MANIFEST = "manifest.json"
LARGEST_JSON = 1 << 28
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+){0,3}\.[a-z0-9]{1,5}")


@dataclass(frozen=True)
class Verified:
    """What held: the manifest, and how much of the log."""

    manifest: dict[str, Any]
    leaves: int
    waiting: int
    consents: int


def verify(file: Path, keys: Keys) -> Verified:
    """Check all of it. Raises NotVerified, whose message says which check failed."""
    try:
        with ZipFile(file) as archive:
            return _verify(archive, keys)
    except (BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise NotVerified("form: not a ZIP that can be read") from error


def _verify(archive: ZipFile, keys: Keys) -> Verified:
    # 1. Form.
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()) or not all(_NAME.fullmatch(name) for name in infos):
        raise NotVerified("form: a name occurs twice, or is no plain one")
    if MANIFEST not in infos:
        raise NotVerified("form: there is no manifest")
    document = _read(archive, infos[MANIFEST])
    manifest = _object(document)
    if canonical(manifest) + b"\n" != document:
        raise NotVerified("form: the manifest is not the canonical form of what it says")
    if manifest.get("format") != FORMAT:
        raise NotVerified("form: another format, or another version of it")
    # 2. Signature.
    check_signed(manifest, keys)
    # 3. Files.
    listed = {str(one["name"]): one for one in manifest["entries"]}
    if set(listed) | {MANIFEST} != set(infos) or len(listed) != len(manifest["entries"]):
        raise NotVerified("files: the manifest lists other files than there are")
    for name, one in listed.items():
        if _digest(archive, infos[name], int(one["bytes"])) != one["sha256"]:
            raise NotVerified(f"files: {name} is not the file that was signed")
    # 4. Log.
    leaves = _rows(archive, infos, "data/audit.json")
    waiting = _check_log(leaves, _rows(archive, infos, "data/log.json"), manifest, keys)
    # 5. Consents.
    consents = _rows(archive, infos, "data/consents.json")
    _check_consents(consents, leaves, subject=str(manifest.get("subject")).removeprefix("sub_"))
    return Verified(manifest, leaves=len(leaves) - waiting, waiting=waiting, consents=len(consents))


def check_signed(said: dict[str, Any], keys: Keys) -> None:
    """Raise NotVerified unless a published key signed everything but the signature, under the format's own name."""
    signature = said.get("signature")
    if not isinstance(signature, dict) or set(signature) != {"alg", "kid", "value"} or signature["alg"] != "Ed25519":
        raise NotVerified("signature: not an Ed25519 signature")
    key = keys.get(str(signature["kid"]))
    if key is None:
        raise NotVerified("signature: by a key that is not among the published ones")
    rest = {name: value for name, value in said.items() if name != "signature"}
    message = str(said.get("format")).encode() + b"\n" + canonical(rest)
    check_signature(key, unhex(signature["value"]), message, "signature: it does not verify")


def _check_log(leaves: list[dict[str, Any]], log: list[dict[str, Any]], manifest: dict[str, Any], keys: Keys) -> int:
    """How many leaves were too young to have a proof."""
    proved = [one for one in leaves if one["proof"] is not None]
    if not proved:
        return len(leaves)
    if not log:
        raise NotVerified("log: there are proofs, and nothing that they lead to")
    checkpoint = open_checkpoint(str(log[0]["checkpoint"]), keys)
    if checkpoint.origin != f"likeness/{manifest.get('tenant')}":
        raise NotVerified("log: of another platform")
    for one in proved:
        path = [unhex(step) for step in one["proof"]]
        leaf = str(one["leaf"]).encode()
        if root_from_inclusion(hash_leaf(leaf), int(one["number"]), checkpoint.size, path) != checkpoint.root:
            raise NotVerified("log: a leaf is not in it")
    return len(leaves) - len(proved)


def _check_consents(consents: list[dict[str, Any]], leaves: list[dict[str, Any]], *, subject: str) -> None:
    asked = [_object(str(one["leaf"]).encode()) | {"salt": one["salt"]} for one in leaves]
    asked = [leaf for leaf in asked if str(leaf["kind"]).startswith("consent.") and leaf["salt"]]
    for one in consents:
        notice = one["notice_id"]
        facts = canonical(
            {
                "consent": str(one["id"]).removeprefix("cns_"),
                "purpose": one["purpose"],
                "action": one["action"],
                "notice": None if notice is None else str(notice).removeprefix("ntc_"),
                "subject": subject,
            }
        )
        if not any(
            hmac.compare_digest(hmac.digest(unhex(leaf["salt"]), facts, "sha256").hex(), str(leaf["commitment"]))
            for leaf in asked
        ):
            raise NotVerified("consents: an entry that no leaf of the log commits to")


def _rows(archive: ZipFile, infos: dict[str, ZipInfo], name: str) -> list[dict[str, Any]]:
    if name not in infos:
        raise NotVerified(f"files: {name} is missing")
    rows = _object(_read(archive, infos[name])).get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotVerified(f"files: {name} is no list of rows")
    return rows


def _read(archive: ZipFile, info: ZipInfo) -> bytes:
    if info.file_size > LARGEST_JSON:
        raise NotVerified("form: a JSON file is too large")
    with archive.open(info) as file:
        return file.read(LARGEST_JSON)


def _digest(archive: ZipFile, info: ZipInfo, size: int) -> str:
    digest, count = hashlib.sha256(), 0
    with archive.open(info) as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            count += len(block)
            if count > size:
                break
    if count != size:
        raise NotVerified(f"files: {info.filename} has another length than was signed")
    return digest.hexdigest()


def _object(document: bytes) -> dict[str, Any]:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise NotVerified("form: not JSON") from error
    if not isinstance(found, dict):
        raise NotVerified("form: an object was expected")
    return found


def verify_files(file: Path, keys: Path | None = None) -> Verified:
    """The export in a file, checked with the keys in another: by default `keys.json` beside it."""
    keys = keys or file.with_name("keys.json")
    try:
        known = read_keys(keys.read_bytes())
    except OSError as error:
        raise NotVerified(f"files: {error.filename} cannot be read") from error
    try:
        return verify(file, known)
    except (KeyError, TypeError, ValueError) as error:
        raise NotVerified("form: a member is missing, or is no such thing as it should be") from error


def describe(found: Verified) -> str:
    """What an export is, in a few lines."""
    manifest = found.manifest
    entries = manifest["entries"]
    pictures = sum(1 for one in entries if str(one["media_type"]).startswith("image/"))
    lines = {
        "export": manifest["export"],
        "subject": f"{manifest['subject']} of {manifest['tenant']} ({manifest['platform']})",
        "issued by": manifest["issuer"],
        "written at": manifest["created_at"],
        "files": f"{len(entries)}, {pictures} of them pictures, each as it was signed",
        "log": f"{found.leaves} leaves proved, {found.waiting} too young to be",
        "consents": f"{found.consents}, each in the log",
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def main() -> int:
    """Run from the command line. Exit status 0 if the export holds, 1 if not."""
    parser = argparse.ArgumentParser(description="Check a Likeness export, offline.")
    parser.add_argument("export", type=Path)
    parser.add_argument("--keys", type=Path, help="the published keys; by default keys.json beside the export")
    arguments = parser.parse_args()
    try:
        found = verify_files(arguments.export, arguments.keys)
    except NotVerified as error:
        sys.stderr.write(f"NOT VERIFIED: {error}\n")
        return 1
    sys.stdout.write(f"VERIFIED\n{describe(found)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
