"""A time-stamping authority (RFC 3161) on a port of this machine: OpenSSL's own, behind a few lines of HTTP."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_CONFIGURATION = """
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_cert = {folder}/signer.pem
certs = {folder}/root.pem
signer_key = {folder}/signer.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
"""


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607


@contextmanager
def time_stamping(folder: Path) -> Iterator[tuple[str, str, list[bytes]]]:
    """An authority with keys of its own: its URL, the PEM of its root, and the requests that it answered."""
    (folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01")
    for name in ("root", "signer"):
        _openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
    subject = ("-subj", "/O=Time of the tests/CN=root", "-days", "3650", "-config", "tsa.cnf")
    _openssl(folder, "req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-extensions", "root", *subject)
    named = ("-subj", "/O=Time of the tests/CN=signer", "-config", "tsa.cnf")
    _openssl(folder, "req", "-new", "-key", "signer.key", "-out", "signer.csr", *named)
    signing = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "3650")
    extended = ("-extfile", "tsa.cnf", "-extensions", "signer")
    _openssl(folder, "x509", "-req", "-in", "signer.csr", "-out", "signer.pem", *signing, *extended)
    asked: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query.tsq").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((folder / "query.tsq").read_bytes())
            _openssl(folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-out", "answer.tsr")
            answer = (folder / "answer.tsr").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", (folder / "root.pem").read_text(), asked
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
