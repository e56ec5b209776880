"""Is this picture one of ours, and is it as it left? One verdict from three layers: manifest, watermark, fingerprint.

    genuine   the manifest is ours, its signature holds, and not a byte was changed
    altered   the manifest is ours, and the file was changed after it was signed
    marked    no manifest of ours, but our invisible mark in the pixels: a copy that lost its manifest
    erased    made here, and erased since; nothing more is said
    unknown   none of it, which does not say that the picture is untouched

Nothing is stored, and no answer is made from anything that names a tenant or a person. The picture is opened in child
processes alone: one reads the manifest, one makes a clean picture, and only the last, which is given that clean picture
and never the stranger's bytes, knows the watermark key.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from core.errors import IntakeBusy, PhotoTooSlow, PhotoUnreadable
from core.intake.clean import Intake, admit
from core.intake.converse import child_of, converse
from core.provenance.card import card
from core.provenance.service import Provenance, Standing
from core.provenance.words import LIMITS, NOT_LOOKED, OFFLINE, SUMMARIES, Said, in_locale

_CHILD: Final = child_of("core.provenance.reader")
_MEBIBYTE: Final = 1024 * 1024
_WALL_SECONDS: Final = 20.0
_MAX_ANSWER_BYTES: Final = 256 * 1024

_Question = Coroutine[Any, Any, dict[str, Any]]


class Verdict(StrEnum):
    """See the module."""

    GENUINE = "genuine"
    ALTERED = "altered"
    MARKED = "marked"
    ERASED = "erased"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the file itself says.

    manifest: `state` is valid, altered, foreign (somebody else's), none or unreadable; with `codes` and `signed_by`.
    watermark: `state` is found, none, not_looked (no key) or unreadable; with `z`, `scale` and `degrees` of a find.
    """

    manifest: dict[str, Any]
    watermark: dict[str, Any]

    @property
    def marks(self) -> list[bytes]:
        """The marks that it carries, the signed one first."""
        found = []
        if isinstance(signed := self.manifest.get("mark"), str):
            found.append(_bytes_of(signed))
        if isinstance(seen := self.watermark.get("mark"), str):
            found.append(bytes.fromhex(seen))
        return [mark for mark in found if mark]


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. For an erased picture the layers, the card and the limits are empty.

    summary: the verdict in a sentence.
    """

    verdict: Verdict
    summary: str
    manifest: dict[str, Any] = field(default_factory=dict)
    watermark: dict[str, Any] = field(default_factory=dict)
    fingerprint: dict[str, Any] = field(default_factory=dict)
    card: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


class Checker:
    """Examines strangers' pictures, a few at a time. One per process; concurrency, waiting: as `Intake` has them.

    A server takes a `place` before it reads a picture, so that no more of them are in memory than there are places.
    """

    def __init__(self, intake: Intake, *, concurrency: int = 2, waiting: int = 8) -> None:
        self._intake = intake
        self._free = asyncio.Semaphore(concurrency)
        self._room = concurrency + waiting

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places, for as long as the block lasts. Raises `IntakeBusy` when none is left."""
        if self._room == 0:
            raise IntakeBusy
        self._room -= 1
        try:
            yield
        finally:
            self._room += 1

    async def examine(
        self,
        data: bytes,
        *,
        declared_type: str | None,
        anchors: Sequence[str],
        key: bytes | None,
        time_stamps: str = "",
    ) -> Evidence:
        """What a file says of itself.

        anchors: the certificates, in PEM, that make a manifest ours. key: of the watermark; None does not look for it.
        time_stamps: the certificates, in PEM, of the authorities whose time stamps count.
        Raises what `Intake.clean` raises.
        """
        source_format = admit(data, declared_type=declared_type, limits=self._intake.limits)
        asked = {
            "task": "manifest",
            "media_type": f"image/{source_format}",
            "anchors": "".join(anchors),
            "time_stamps": time_stamps,
        }
        async with self._free:
            manifest, watermark = await _both(
                _ask(data, asked), self._watermark(data, declared_type=declared_type, key=key)
            )
        return Evidence(manifest=manifest, watermark=watermark)

    async def _watermark(self, data: bytes, *, declared_type: str | None, key: bytes | None) -> dict[str, Any]:
        clean = await self._intake.clean(data, declared_type=declared_type)
        if key is None:
            return {"state": "not_looked"}
        return await _ask(clean.data, {"task": "watermark", "key": key.hex()})


async def verify(
    data: bytes, *, declared_type: str | None, checker: Checker, provenance: Provenance, locale: str
) -> Report:
    """The answer of the service itself, which knows what it made and what it erased. Raises as `Checker.examine`."""
    evidence = await checker.examine(
        data,
        declared_type=declared_type,
        anchors=await provenance.anchors(),
        key=await provenance.watermark_key(),
        time_stamps=provenance.time_stamp_anchors(),
    )
    of_file = await provenance.standing_of_file(data)
    of_marks = [await provenance.standing_of_mark(mark) for mark in evidence.marks]
    if Standing.ERASED in {of_file, *of_marks}:
        return Report(Verdict.ERASED, in_locale(SUMMARIES[Verdict.ERASED], locale))
    known = Standing.LIVE in {of_file, *of_marks}
    fingerprint = {"state": "known" if of_file is Standing.LIVE else "unknown"}
    return _report(evidence, mark_is_ours=known, fingerprint=fingerprint, locale=locale, limits=())


async def verify_offline(
    data: bytes, *, checker: Checker, anchors: Sequence[str], key: bytes | None, locale: str, time_stamps: str = ""
) -> Report:
    """The answer that the published anchors allow, and the watermark key where one has it. Raises as `examine`."""
    evidence = await checker.examine(data, declared_type=None, anchors=anchors, key=key, time_stamps=time_stamps)
    limits = [OFFLINE] if evidence.marks else []
    if key is None:
        limits.append(NOT_LOOKED)
    fingerprint = {"state": "not_looked"}
    return _report(evidence, mark_is_ours=True, fingerprint=fingerprint, locale=locale, limits=tuple(limits))


def _report(
    evidence: Evidence, *, mark_is_ours: bool, fingerprint: dict[str, Any], locale: str, limits: tuple[Said, ...]
) -> Report:
    state = evidence.manifest.get("state")
    if state == "valid":
        verdict = Verdict.GENUINE
    elif state == "altered":
        verdict = Verdict.ALTERED
    elif evidence.watermark.get("state") == "found" and mark_is_ours:
        verdict = Verdict.MARKED
    else:
        verdict = Verdict.UNKNOWN
    ledger = evidence.manifest.get("ledger") if verdict is Verdict.GENUINE else None
    return Report(
        verdict,
        in_locale(SUMMARIES[verdict], locale),
        manifest=_only(evidence.manifest, "state", "codes", "signed_by"),
        watermark=_only(evidence.watermark, "state", "z", "scale", "degrees"),
        fingerprint=fingerprint,
        card=tuple(card(ledger, locale)) if ledger else (),
        limits=tuple(in_locale(said, locale) for said in (*LIMITS[verdict], *limits)),
    )


def _only(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names if name in found}


async def _both(one: _Question, other: _Question) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both answers. Left by whichever way, both questions are over and their children dead: the place is truly free."""
    tasks = [asyncio.create_task(one), asyncio.create_task(other)]
    try:
        first, second = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return first, second


async def _ask(data: bytes, task: dict[str, Any]) -> dict[str, Any]:
    """One question to one child. A child that breaks on a file says nothing about it, which is told as unreadable."""
    request = task | {"memory_bytes": 640 * _MEBIBYTE, "cpu_seconds": 10}
    try:
        _, said = await converse(
            data, request, wall_seconds=_WALL_SECONDS, max_answer_bytes=_MAX_ANSWER_BYTES, program=_CHILD
        )
        answer = json.loads(said)
    except (PhotoUnreadable, PhotoTooSlow, ValueError):
        return {"state": "unreadable"}
    return answer if isinstance(answer, dict) and isinstance(answer.get("state"), str) else {"state": "unreadable"}


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
