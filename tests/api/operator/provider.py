"""A small OpenID provider over HTTP, with real RSA keys: discovery, a key set, and tokens as a real one signs them.

Its authorization endpoint lets everybody in as `subject` at once, with a code that its token endpoint takes once, from
the client that knows its secret and the verifier of the challenge (RFC 7636).
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from core.clock import now

CLIENT = "likeness-console"
SECRET = "the secret of a client that is no more than a test"


class Provider:
    """issuer: its URL. key: what it signs with now. asked: the paths it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: list[RSAKey] = []
        self.calls_itself: str | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.subject = "ada"
        self.away = False
        self.rotate()
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                if self.path.startswith("/authorize?"):
                    self.send_response(302)
                    self.send_header("Location", provider.authorize(dict(parse_qsl(urlsplit(self.path).query))))
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(503 if provider.away else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                sent = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                issued = provider.exchange(sent, self.headers.get("Authorization", ""))
                body = json.dumps(issued or {"error": "invalid_grant"}).encode()
                self.send_response(400 if issued is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/keys":
            found: dict[str, Any] = dict(KeySet(list(self.keys)).as_dict(private=False))
            return found
        return {
            "issuer": self.calls_itself or self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(self, sent: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The tokens for a code, once."""
        asked = self.codes.pop(sent.get("code", ""), None)
        known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        verifier = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or authorization != f"Basic {known}" or asked["code_challenge"] != challenge:
            return None
        token = self.token(subject=self.subject, nonce=asked["nonce"])
        return {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": 3600,
            "id_token": token,
        }

    def rotate(self) -> None:
        """Sign with a new key; the old one is published no longer."""
        self.keys = [RSAKey.generate_key(2048, parameters={"kid": secrets.token_hex(4), "use": "sig"})]

    def token(self, *, subject: str = "ada", header: dict[str, Any] | None = None, **claims: Any) -> str:
        moment = int(now().timestamp())
        said = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": subject,
            "iat": moment,
            "exp": moment + 3600,
            "nonce": secrets.token_urlsafe(16),
            "email": "ada.canary@operators.example",
            "role": "admin",
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.keys[0].kid, **(header or {})}, said, self.keys[0])

    def forged(self, **claims: Any) -> str:
        """Signed with HMAC under the public key, as who confuses algorithms would take it."""
        moment = int(now().timestamp())
        said = {"iss": self.issuer, "aud": CLIENT, "sub": "ada", "nonce": "x", "iat": moment, "exp": moment + 60}
        head = _part({"alg": "HS256", "kid": self.keys[0].kid}) + "." + _part({**said, **claims})
        signature = hmac.digest(self.keys[0].as_pem(private=False), head.encode(), "sha256")
        return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@contextmanager
def a_provider() -> Iterator[Provider]:
    provider = Provider()
    serving = threading.Thread(target=provider.server.serve_forever, daemon=True)
    serving.start()
    try:
        yield provider
    finally:
        provider.server.shutdown()
        provider.server.server_close()
        serving.join()
