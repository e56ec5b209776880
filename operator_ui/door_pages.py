"""The door's HTML. Everything that comes from outside passes through `escape`; there is no script in any page."""

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Likeness console</title>
<link rel="icon" href="/door/mark.svg">
<link rel="stylesheet" href="/door/door.css">
</head>
<body>
<main>
<p class="brand"><img src="/door/mark.svg" width="28" height="28" alt=""> Likeness <span>console</span></p>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def sign_in(following: str, *, email: str = "", note: str = "", error: str = "") -> str:
    """E-mail, password, code."""
    body = f"""\
{_notes(note=note, error=error)}
<form method="post" action="/sign-in?next={quote(following, safe="")}">
<label>E-mail
<input name="email" type="email" autocomplete="username" required maxlength="254" {_focus(not email)}\
value="{escape(email, quote=True)}"></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required maxlength="200" {_focus(bool(email))}>\
</label>
<label>Code from your authenticator, or a recovery code
<input name="code" autocomplete="one-time-code" minlength="6" maxlength="30" required></label>
<button>Sign in</button>
</form>
<p class="quiet">Lost your phone or password? Ask an admin for a new invitation. No photo is shown anywhere in here.</p>
"""
    return _PAGE.format(title="Sign in", body=body)


def choose_password(token: str, *, error: str = "") -> str:
    """First step of joining."""
    body = f"""\
{_notes(error=error)}
<p>Step 1 of 2. Choose a password of at least twelve characters; a few words that nobody would guess do well.</p>
<form method="post" action="/join">
<input type="hidden" name="token" value="{escape(token, quote=True)}">
<label>New password
<input name="password" type="password" autocomplete="new-password" required minlength="12" maxlength="200" autofocus>\
</label>
<label>The same again
<input name="again" type="password" autocomplete="new-password" required minlength="12" maxlength="200"></label>
<details><summary>The very first admin also says who they are</summary>
<label>Name
<input name="name" autocomplete="name" maxlength="100"></label>
<label>E-mail
<input name="email" type="email" autocomplete="email" maxlength="254"></label>
</details>
<button>Go on</button>
</form>
"""
    return _PAGE.format(title="Join", body=body)


def enrol(token: str, otpauth_uri: str, *, error: str = "") -> str:
    """Second step: the authenticator."""
    secret = otpauth_uri.partition("secret=")[2].partition("&")[0]
    grouped = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    body = f"""\
{_notes(error=error)}
<p>Step 2 of 2. Scan this with an authenticator app, then type the code that it shows.</p>
{_qr(otpauth_uri)}
<p class="quiet">Or type this key into the app: <code>{escape(grouped)}</code></p>
<form method="post" action="/join">
<input type="hidden" name="token" value="{escape(token, quote=True)}">
<input type="hidden" name="otpauth_uri" value="{escape(otpauth_uri, quote=True)}">
<label>Six-digit code
<input name="code" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9 ]{{6,7}}" maxlength="7" required \
autofocus></label>
<button>Finish</button>
</form>
"""
    return _PAGE.format(title="Join", body=body)


def recovery(codes: Sequence[str]) -> str:
    """The codes that open the door without the device, shown this once."""
    shown = "".join(f"<li><code>{escape(code)}</code></li>" for code in codes)
    body = f"""\
<p>You are signed in. Keep these recovery codes where you keep passwords: each opens the door once when your phone is
lost, and they are shown this once.</p>
<ul class="codes">{shown}</ul>
<p><a class="button" href="/">I have kept them. Open the console</a></p>
"""
    return _PAGE.format(title="Recovery codes", body=body)


def refused() -> str:
    """A form that another site sent."""
    body = '<p>This came from another site, so it was not taken. <a href="/sign-in">Go to the sign-in page</a>.</p>'
    return _PAGE.format(title="Not taken", body=body)


def _notes(*, note: str = "", error: str = "") -> str:
    shown = f'<p class="note" role="status">{escape(note)}</p>' if note else ""
    return shown + (f'<p class="error" role="alert">{escape(error)}</p>' if error else "")


def _focus(wanted: bool) -> str:  # noqa: FBT001 (one word of HTML)
    return "autofocus " if wanted else ""


def _qr(text: str) -> str:
    """The text as a QR code in SVG, with the quiet zone that scanners need."""
    code = QRCode(None, QRErrorCorrectLevel.M)
    code.addData(text)
    code.make()
    size = code.getModuleCount()
    dark = "".join(
        f"M{column + 4} {row + 4}h1v1h-1z" for row in range(size) for column in range(size) if code.isDark(row, column)
    )
    side = size + 8
    return (
        f'<svg class="qr" viewBox="0 0 {side} {side}" role="img" aria-label="QR code for your authenticator app">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path d="{dark}" fill="#000"/></svg>'
    )
