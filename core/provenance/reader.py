"""The program that reads what a stranger's picture says of itself, behind the same walls as intake's.

Two tasks, each in a child of its own. `manifest` gets the hostile file and the public anchors, and no secret.
`watermark` gets the watermark key, and only a picture that intake has made anew. Frames are those of
`core.intake.child`; the answer is JSON after the header.
"""

import os

# Before numpy loads: its threads would each want memory that the walls do not leave.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import io
import json
import struct
from typing import Any

import c2pa
import numpy as np
from PIL import Image, JpegImagePlugin

from core.intake.child import receive, send
from core.intake.confine import confine
from core.provenance.manifest import LEDGER_LABEL, SOFT_BINDING_ALGORITHM
from core.provenance.watermark import find, texture

_LONGEST_NAME = 80
_OUR_LIST = "system_anchors"


def main() -> None:
    """Serve one picture. Never returns."""
    request = json.loads(receive(struct.unpack(">I", receive(4))[0]))
    if os.getppid() != request["parent"]:
        os._exit(1)
    context = _context(request.get("anchors", ""), request.get("time_stamps", ""))
    _warm(context)
    held = confine(memory_bytes=request["memory_bytes"], cpu_seconds=request["cpu_seconds"], threads=False)
    send({"ready": held})
    data = receive(request["size"])
    answer = (
        read_manifest(data, request["media_type"], context)
        if request["task"] == "manifest"
        else read_watermark(data, bytes.fromhex(request["key"]))
    )
    send({}, json.dumps(answer).encode())
    os._exit(0)


def read_manifest(data: bytes, media_type: str, context: c2pa.Context) -> dict[str, Any]:
    """What the manifest says, and whether it holds: `state`, `codes`, and of one that is ours `mark` and `ledger`."""
    try:
        with c2pa.Reader(media_type, io.BytesIO(data), context=context) as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError as error:
        absent = isinstance(error, c2pa.C2paError.ManifestNotFound) or "no JUMBF" in str(error)
        return {"state": "none" if absent else "unreadable"}
    except Exception:  # noqa: BLE001 - native code raises whatever it likes on damage; every kind means the same
        return {"state": "unreadable"}
    results = report.get("validation_results", {}).get("activeManifest", {})
    failed = {entry["code"] for entry in results.get("failure", [])}
    # The library names the list in which it found the signer's root. An authority for time stamps, whose root stands in
    # the other list, may well sign certificates for anybody: it makes no signature ours.
    trusted = any(
        entry["code"] == "signingCredential.trusted" and _OUR_LIST in entry.get("explanation", "")
        for entry in results.get("success", [])
    )
    manifest = report.get("manifests", {}).get(report.get("active_manifest"), {})
    answer = {
        "state": ("altered" if failed else "valid") if trusted else "foreign",
        "codes": sorted(failed)[:10],
    }
    # A certificate that nobody vouches for may bear any name, ours too: it is not passed on.
    return answer | (_ours(manifest) if trusted else {})


def read_watermark(data: bytes, key: bytes) -> dict[str, Any]:
    """The mark of a clean JPEG: `state`, and of one that was found `mark`, `z`, `scale`, `degrees`."""
    found = find(np.asarray(JpegImagePlugin.JpegImageFile(io.BytesIO(data)).convert("RGB")), key)
    if found is None:
        return {"state": "none"}
    return {
        "state": "found",
        "mark": found.mark.hex(),
        "z": round(found.z, 1),
        "scale": round(found.scale, 3),
        "degrees": round(found.degrees, 1),
    }


def _warm(context: c2pa.Context) -> None:
    """Go every way once, on a picture of our own: behind the walls no module and no table can be opened any more."""
    side, key = 256, b"warm"
    grey = 128 + 8 * texture(bytes(8), key, width=side, height=side)
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "JPEG", quality=95)
    read_watermark(file.getvalue(), key)
    read_manifest(file.getvalue(), "image/jpeg", context)


def _ours(manifest: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"signed_by": str(manifest.get("signature_info", {}).get("issuer", ""))[:_LONGEST_NAME]}
    for entry in manifest.get("assertions", []):
        content = entry.get("data", {})
        if entry.get("label") == LEDGER_LABEL:
            said["ledger"] = content.get("lines", [])
        elif entry.get("label") == "c2pa.soft-binding" and content.get("alg") == SOFT_BINDING_ALGORITHM:
            said["mark"] = content["blocks"][0]["value"]
    return said


def _context(anchors: str, time_stamps: str) -> c2pa.Context:
    settings: dict[str, Any] = {"verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}}
    if anchors:
        settings["trust"] = {"trust_anchors": anchors} | ({"user_anchors": time_stamps} if time_stamps else {})
    return c2pa.Context(c2pa.Settings.from_dict(settings))


# Pillow finds its plug-ins late; the one that is needed is named above, and nothing else may be looked for.
Image._initialized = 2  # noqa: SLF001 - no other way says that its plugins are read


if __name__ == "__main__":
    main()
