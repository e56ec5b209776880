"""Check a platform's records of processing, offline: from the file and the published keys, and from nothing else.

With `verify_certificate.py` and `verify_export.py` beside it, it can be copied out and run by itself:

    python verify_records.py records.json --keys keys.json

The file is one JSON object in canonical form (RFC 8785) and a newline. It holds when it is exactly that form, and a
published key signed, by Ed25519, "likeness-records/1", a newline, and the canonical form of everything but `signature`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

try:
    from infra.verify_certificate import Keys, NotVerified, canonical, read_keys
    from infra.verify_export import check_signed
except ImportError:  # copied out, with the others beside it
    from verify_certificate import Keys, NotVerified, canonical, read_keys  # type: ignore[import-not-found,no-redef]
    from verify_export import check_signed  # type: ignore[import-not-found,no-redef]

FORMAT = "likeness-records/1"


def verify(document: bytes, keys: Keys) -> dict[str, Any]:
    """The records in a file's bytes, if they hold. Raises NotVerified."""
    try:
        found = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise NotVerified("form: not JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NotVerified("form: another format, or another version of it")
    if canonical(found) + b"\n" != document:
        raise NotVerified("form: the file is not the canonical form of what it says")
    check_signed(found, keys)
    return found


def verify_files(file: Path, keys: Path | None = None) -> dict[str, Any]:
    """The records in a file, checked with the keys in another: by default `keys.json` beside it."""
    keys = keys or file.with_name("keys.json")
    try:
        return verify(file.read_bytes(), read_keys(keys.read_bytes()))
    except OSError as error:
        raise NotVerified(f"files: {error.filename} cannot be read") from error


def describe(found: dict[str, Any]) -> str:
    """What the records are, in a few lines."""
    months = found["rights_requests"]["months"]
    lines = {
        "platform": f"{found['platform']} ({found['tenant']})",
        "issued by": found["issuer"],
        "made at": found["created_at"],
        "activities": len(found["controller_record"]["activities"]),
        "requests": sum(one["received"] for one in months),
        "in time": sum(one["in_time"] for one in months),
        "to complete": len(found["to_complete"]),
    }
    return "\n".join(f"{name:<12} {text}" for name, text in lines.items())


def main() -> int:
    """Run from the command line. Exit status 0 if the records hold, 1 if not."""
    parser = argparse.ArgumentParser(description="Check records of processing, offline.")
    parser.add_argument("records", type=Path)
    parser.add_argument("--keys", type=Path, help="the published keys; by default keys.json beside the records")
    arguments = parser.parse_args()
    try:
        found = verify_files(arguments.records, arguments.keys)
    except NotVerified as error:
        sys.stderr.write(f"NOT VERIFIED: {error}\n")
        return 1
    sys.stdout.write(f"VERIFIED\n{describe(found)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
