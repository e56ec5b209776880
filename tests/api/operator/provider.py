"""A small OpenID provider over HTTP, with real RSA keys: discovery, a key set, and tokens as a real one signs them."""

import base64
import hmac
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from core.clock import now

CLIENT = "likeness-console"


class Provider:
    """issuer: its URL. key: what it signs with now. asked: the paths it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keys: list[RSAKey] = []
        self.calls_itself: str | None = None
        self.away = False
        self.rotate()
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                body = json.dumps(provider.answer(self.path)).encode()
                self.send_response(503 if provider.away else 200)
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
        return {"issuer": self.calls_itself or self.issuer, "jwks_uri": f"{self.issuer}/keys"}

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
