# SPDX-License-Identifier: LGPL-2.1-or-later
"""The maker of the test key: a root, and an attestation certificate per model (WebAuthn 8.2.1)."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OID_AAGUID = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")


def _name(*pairs):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


class Maker:
    def __init__(self, name="Test Keys"):
        now = datetime.datetime.utcnow()
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = _name((NameOID.COUNTRY_NAME, "JP"), (NameOID.ORGANIZATION_NAME, name), (NameOID.COMMON_NAME, name + " Root"))
        self.root = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(self.key, hashes.SHA256()))

    def root_pem(self):
        return self.root.public_bytes(serialization.Encoding.PEM)

    def model(self, aaguid, days=3650):
        """An attestation key and its certificate (DER)."""
        now = datetime.datetime.utcnow()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name((NameOID.COUNTRY_NAME, "JP"), (NameOID.ORGANIZATION_NAME, "Test Keys"),
                        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Authenticator Attestation"), (NameOID.COMMON_NAME, "Test Key 1"))
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.root.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=days, hours=24))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.UnrecognizedExtension(OID_AAGUID, b"\x04\x10" + aaguid), critical=False).sign(self.key, hashes.SHA256()))
        return key, certificate.public_bytes(serialization.Encoding.DER)
