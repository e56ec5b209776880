"""The certificate on paper: the same data as the file, for a person to keep.

Drawn by reportlab with the fonts that every PDF reader has. Loaded only where a certificate is issued, because it
brings a picture library with it. It proves nothing by itself, and says so: the file does.
"""

import json
import textwrap
from datetime import datetime
from io import BytesIO
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

_WIDTH, _HEIGHT = A4
_MARGIN = 54.0
_LABEL = 118.0
_INK, _GREY, _ACCENT = (0.10, 0.12, 0.16), (0.42, 0.45, 0.50), (0.07, 0.36, 0.33)
_TEXT_WIDTH = 92  # characters of 8.5 pt Helvetica in the value column
_MONO_WIDTH = 78


class _Page:
    """A cursor that goes down the page, and on to the next."""

    def __init__(self, canvas: Canvas, *, footer: str) -> None:
        self._canvas = canvas
        self._footer = footer
        self._number = 1
        self._y = _HEIGHT - _MARGIN
        self._foot()

    def title(self, text: str, beneath: str) -> None:
        self._write(text, x=_MARGIN, font="Helvetica-Bold", size=20, colour=_ACCENT)
        self._down(20)
        for line in textwrap.wrap(beneath, 104):
            self._write(line, x=_MARGIN, size=9.5, colour=_GREY)
            self._down(13)
        self._down(6)

    def heading(self, text: str) -> None:
        self._down(10, keep=44)
        self._write(text.upper(), x=_MARGIN, font="Helvetica-Bold", size=8.5, colour=_ACCENT)
        self._canvas.setStrokeColorRGB(*_ACCENT)
        self._canvas.setLineWidth(0.6)
        self._canvas.line(_MARGIN, self._y - 4, _WIDTH - _MARGIN, self._y - 4)
        self._down(17)

    def row(self, label: str, text: str, *, mono: bool = False) -> None:
        lines = textwrap.wrap(text, _MONO_WIDTH if mono else _TEXT_WIDTH) or [""]
        for place, line in enumerate(lines):
            if place == 0:
                self._write(label, x=_MARGIN, size=8.5, colour=_GREY)
            font, size = ("Courier", 7.6) if mono else ("Helvetica", 8.5)
            self._write(line, x=_MARGIN + _LABEL, font=font, size=size)
            self._down(11.5)
        self._down(2)

    def _write(
        self, text: str, *, x: float, size: float, font: str = "Helvetica", colour: tuple[float, float, float] = _INK
    ) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillColorRGB(*colour)
        self._canvas.drawString(x, self._y, text)

    def _down(self, points: float, *, keep: float = 0.0) -> None:
        self._y -= points
        if self._y - keep < _MARGIN + 26:
            self._canvas.showPage()
            self._number += 1
            self._y = _HEIGHT - _MARGIN
            self._foot()

    def _foot(self) -> None:
        self._canvas.setFont("Helvetica", 7.5)
        self._canvas.setFillColorRGB(*_GREY)
        self._canvas.drawString(_MARGIN, _MARGIN - 14, self._footer)
        self._canvas.drawRightString(_WIDTH - _MARGIN, _MARGIN - 14, str(self._number))


def draw(document: bytes) -> bytes:
    """The PDF of a certificate file. The same file gives the same bytes."""
    signed = json.loads(document)
    certificate, log, signature = signed["certificate"], signed["log"], signed["signature"]
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    canvas.setTitle(f"Erasure certificate {certificate['id']}")
    page = _Page(canvas, footer=f"{certificate['id']}  ·  this sheet explains; the signed file proves")
    page.title(
        "Certificate of erasure",
        "All that this service held of one person was erased, and looked for again afterwards. This sheet says the "
        "same as the signed file erasure-certificate.json, which anyone can check without asking us.",
    )
    _who_and_when(page, certificate)
    _what(page, certificate)
    _left(page, certificate)
    page.heading("How to check it")
    page.row("Log", f"Leaf {log['number']} of the log {log['checkpoint'].splitlines()[0]}", mono=True)
    page.row("", f"in a tree of {log['checkpoint'].splitlines()[1]} leaves, whose root hash is")
    page.row("", log["checkpoint"].splitlines()[2], mono=True)
    page.row("Signed by", f"{signature['alg']} key {signature['kid']}", mono=True)
    page.row("Signature", signature["value"], mono=True)
    page.row("By yourself", "likeness verify-certificate erasure-certificate.json --keys keys.json")
    page.row("", "The keys are published at /.well-known/likeness/keys of the service.")
    canvas.save()
    return out.getvalue()


def _who_and_when(page: _Page, certificate: dict[str, Any]) -> None:
    page.heading("Whose, and when")
    page.row("Certificate", certificate["id"], mono=True)
    page.row("Person", certificate["subject"], mono=True)
    page.row("Platform", certificate["tenant"], mono=True)
    page.row(
        "Key destroyed", f"{_moment(certificate['shredded_at'])}. From then on nothing of theirs could be read here."
    )
    page.row("All else gone", f"{_moment(certificate['erased_at'])}. Files and rows removed, and looked for again.")
    page.row("Issued", _moment(certificate["issued_at"]))
    backups = certificate["backups"]
    page.row("Backups", f"{backups['state'].capitalize()} (tenant key version {backups['tenant_key_version']}).")
    page.row("", backups["meaning"])


def _what(page: _Page, certificate: dict[str, Any]) -> None:
    erased = certificate["erased"]
    page.heading("What was erased")
    page.row("Keys", "; ".join(f"{key['count']} {key['class']}" for key in erased["keys"]))
    page.row("Files", "; ".join(f"{one['count']} {one['class']}" for one in erased["objects"]) or "none were stored")
    for place, row in enumerate(erased["rows"]):
        done = f"emptied of {', '.join(row['columns'])}" if row["columns"] else "deleted"
        page.row("Records" if place == 0 else "", f"{row['table']}: {row['count']} {done}")
    page.row("Work stopped", f"{erased['jobs_stopped']} jobs")
    page.heading("Where we looked afterwards")
    for scan in certificate["scans"]:
        page.row(scan["store"], f"{scan['found']} found, {scan['looked_at']} looked at. {scan['how']}")


def _left(page: _Page, certificate: dict[str, Any]) -> None:
    page.heading("What is left, and why")
    for residue in certificate["residues"]:
        count = "" if residue["count"] is None else f"{residue['count']}: "
        page.row(residue["what"], f"{count}{residue['why']}")
    page.heading("Who was told")
    if not certificate["receivers"]:
        page.row("", "No endpoint of the platform listened for erasures.")
    for receiver in certificate["receivers"]:
        confirmed = receiver["confirmed_at"]
        said = f"confirmed {_moment(confirmed)}" if confirmed else "had not confirmed when this was issued"
        page.row(_moment(receiver["told_at"]), f"{receiver['endpoint']} {said}")


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S UTC")
