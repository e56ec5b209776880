"""The certificates that manifests are signed with: one root of the deployment, under it a signer for each tenant.

Sources: C2PA 2.2, 14.5 (certificate profiles); RFC 5280. A signer's name says the product and a random number,
never the tenant. Keys are P-256, as PKCS #8 in PEM.
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_TERM = timedelta(days=25 * 365)
_EARLIER = timedelta(hours=1)  # clocks differ
ORGANISATION = "Likeness"


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both in PEM, and when it ends, and with it what has no time stamp."""

    certificate: str
    key: bytes = field(repr=False)
    not_after: datetime


def new_root(moment: datetime) -> Credential:
    """A self-signed root that may sign signers and nothing above them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Likeness root {secrets.token_hex(4)}")
    not_after = moment + ROOT_TERM
    builder = (
        _builder(name, name, key.public_key(), moment=moment, not_after=not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _credential(builder.sign(key, hashes.SHA256()), key)


def new_signer(root: Credential, *, moment: datetime, term: timedelta) -> Credential:
    """A signer under a root, good for `term` or as long as the root, whichever ends first."""
    issuer = x509.load_pem_x509_certificate(root.certificate.encode())
    root_key = _loaded(root.key)
    key = ec.generate_private_key(ec.SECP256R1())
    not_after = min(moment + term, issuer.not_valid_after_utc)
    name = _name(f"Likeness signer {secrets.token_hex(8)}")
    builder = (
        _builder(name, issuer.subject, key.public_key(), moment=moment, not_after=not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    return _credential(builder.sign(root_key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, moment: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _EARLIER)
        .not_valid_after(not_after)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _loaded(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("a root's key is on a curve")
    return key


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(
        certificate=certificate.public_bytes(Encoding.PEM).decode(),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        not_after=certificate.not_valid_after_utc,
    )
