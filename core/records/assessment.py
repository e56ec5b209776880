"""What does not change from one platform to the next: what is done, why so little of it, what could go wrong.

Every measure named here is one that the code holds and a test breaks on; SECURITY.md says what is not promised.
"""

from collections.abc import Mapping
from typing import Final

PROCESSING: Final = (
    "Taking in a photo: decoding in a sandbox, removal of metadata, sealing.",
    "Finding one face in memory, and measuring the finished picture against it; no template is made or kept.",
    "Making headshots: backdrop, light, framing and retouch around the person's own face.",
    "Keeping photos, headshots and exports sealed until their term is over, and deleting them.",
    "Recording consents, answering requests of the people concerned, and proving what happened.",
)
DESCRIPTION: Final = (
    "A platform enters a person, records their consent purpose by purpose, and uploads one photo of them.",
    "A worker makes headshots in which the face is taken from the photo and not generated.",
    "Each picture is measured against the photo before it is delivered (the still-me gate); one that moved is refused.",
    "Everything of a person is sealed under a random key of theirs; destroying it makes all of it unreadable at once.",
)
NECESSITY: Final = (
    "One photo is enough; no set of photos is collected, and no model of the person is trained.",
    "Nothing is taken in without a consent that is in force, and each use asks again (Art. 5(1)(b), 7).",
    "Metadata of the photo (place, device, author, time) is removed before it is kept (Art. 5(1)(c)).",
    "Terms are short by default, each with its reason, and can be shortened for every upload (Art. 5(1)(e)).",
)
RISKS: Final[tuple[Mapping[str, object], ...]] = (
    {
        "risk": "Somebody else sees a person's photo.",
        "measures": [
            "sealed under root, tenant, person and object key",
            "row-level security, forced for every role",
            "every opening is noted for the person to read",
            "links of minutes for one picture",
        ],
    },
    {
        "risk": "The picture is not the person any more, or treats some faces worse than others.",
        "measures": [
            "the face is the person's own pixels",
            "still-me gate on geometry and skin tone",
            "no charge for a refusal",
        ],
    },
    {
        "risk": "Data is kept longer than people were told, or comes back from a backup.",
        "measures": [
            "terms enforced by a sweep",
            "erasure by destroying the key, rescanned and certified",
            "tombstones replayed after a restore",
        ],
    },
    {
        "risk": "A person cannot find out, object, or take back what they agreed to.",
        "measures": [
            "own page without an account",
            "withdrawal stops running work",
            "clocks of the law that protects them, with warnings ahead",
            "one export of everything",
        ],
    },
    {
        "risk": "A hostile file takes over the machine that reads it.",
        "measures": ["decoding in a child without files, network or exec", "bounded memory and time"],
    },
    {
        "risk": "The picture is taken for a photograph, or passed off as somebody else's.",
        "measures": ["signed C2PA manifest", "invisible mark", "public check"],
    },
)


def measures(*, keys: str, storage: str, cache_seconds: int) -> list[dict[str, str]]:
    """The measures of Art. 32 as they are configured. keys, storage: the schemes of the key provider and the store."""
    return [
        {"what": "Encryption", "how": "Objects: C2SP chunked encryption (AES-256-GCM). Keys and fields: AES-256-GCM."},
        {"what": "Key provider", "how": f"{keys}; opened keys are cached for at most {cache_seconds} seconds."},
        {"what": "Object store", "how": f"{storage}; it holds ciphertext under random names alone."},
        {"what": "Separation", "how": "Row-level security on every table of a platform, for roles that own nothing."},
        {
            "what": "Erasure",
            "how": "The person's key is destroyed in one transaction; then a rescan and a certificate.",
        },
        {
            "what": "Accountability",
            "how": "A tamper-evident log per platform with signed checkpoints; access log per person.",
        },
        {"what": "Hostile input", "how": "Photos are decoded in a sandbox without files, network or exec."},
        {
            "what": "Data on the way",
            "how": "TLS is ended before the service by whoever runs it; webhooks go to https alone.",
        },
    ]
