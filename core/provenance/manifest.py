"""What a C2PA manifest says of a headshot, made from its edit ledger. Holds no thumbnail and nothing personal.

Sources: C2PA 2.2 (actions v2, soft binding), CAWG Training and Data Mining 1.1, IPTC NewsCodes digitalsourcetype.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

Ledger = Sequence[Mapping[str, Any]]

GENERATOR: Final = "Likeness"
LEDGER_LABEL: Final = "dev.likeness.edit-ledger"
SOFT_BINDING_ALGORITHM: Final = "dev.likeness.watermark.1"
_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"

_ACTIONS: Final = {
    "enlarged": "c2pa.resized",
    "reduced": "c2pa.resized",
    "light": "c2pa.color_adjustments",
    "watermarked": "c2pa.watermarked.bound",
}
# The least that a ledger line may say outside: figures of a face's light or geometry stay with us.
_PUBLIC_MEMBERS: Final = frozenset(
    {"region", "action", "source", "share", "style", "style_version", "model", "model_sha256", "marks"}
)


def digital_source_type(ledger: Ledger) -> str:
    """The IPTC type: a composite with generated or, where a backdrop was drawn by a formula, synthetic parts."""
    generated = any(line.get("source") == "generated" for line in ledger)
    return _SOURCE_TYPES + ("compositeWithTrainedAlgorithmicMedia" if generated else "compositeSynthetic")


def public_ledger(ledger: Ledger) -> list[dict[str, Any]]:
    """The ledger as strangers may read it."""
    return [{name: value for name, value in line.items() if name in _PUBLIC_MEMBERS} for line in ledger]


def definition(ledger: Ledger, *, mark: bytes, media_type: str, training_allowed: bool, version: str) -> dict[str, Any]:
    """The manifest of one file, for c2pa's builder.

    Args:
        ledger: what was done, line by line.
        mark: the 8 bytes in the picture's watermark.
        media_type: of the file.
        training_allowed: the person said yes to `model_training`.
        version: of this software.
    """
    opened: dict[str, Any] = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["photo"]}}
    return {
        "claim_generator_info": [{"name": GENERATOR, "version": version}],
        "title": "headshot",
        "format": media_type,
        "ingredients": [
            {
                "label": "photo",
                "title": "photo",
                "format": "image/jpeg",
                "relationship": "parentOf",
            }
        ],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [opened, *_actions(ledger)], "allActionsIncluded": True},
            },
            {"label": "cawg.training-mining", "data": {"entries": _training(allowed=training_allowed)}},
            {
                "label": "c2pa.soft-binding",
                "data": {
                    "alg": SOFT_BINDING_ALGORITHM,
                    "blocks": [{"scope": {}, "value": base64.b64encode(mark).decode()}],
                },
            },
            {"label": LEDGER_LABEL, "data": {"version": 1, "lines": public_ledger(ledger)}},
        ],
    }


def _actions(ledger: Ledger) -> list[dict[str, Any]]:
    actions = []
    for line in ledger:
        if line["action"] == "carried":
            continue  # a mark of the photo's own: nothing was done
        # Which region it was done to stands in the ledger; to say it twice would cost a small file half a per cent.
        action: dict[str, Any] = {"action": _ACTIONS.get(str(line["action"]), "c2pa.edited")}
        if line.get("source") in {"generated", "procedural"}:
            action["digitalSourceType"] = digital_source_type([line])
        if line.get("model"):
            action["softwareAgent"] = {"name": str(line["model"]), "version": str(line.get("model_sha256", ""))[:16]}
        actions.append(action)
    return actions


def _training(*, allowed: bool) -> dict[str, dict[str, str]]:
    """Who may learn from it: nobody, but for training where the person opted in."""
    said = {True: "allowed", False: "notAllowed"}
    return {
        "cawg.ai_training": {"use": said[allowed]},
        "cawg.ai_generative_training": {"use": said[allowed]},
        "cawg.ai_inference": {"use": said[False]},
        "cawg.data_mining": {"use": said[False]},
    }
