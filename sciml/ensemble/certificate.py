"""The certificate by which a run's scheduler and its workers know each other.

One pair of key and certificate, which signs itself and is the only authority that either side trusts:
who holds the key is in, in both directions, and nobody else. It lies in the run directory, for the owner
only, as long as its supervisor lives.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

from sciml.errors import InputError

CERTIFICATE, KEY = "certificate.pem", "key.pem"
NEEDS = (
    "cluster.kind: slurm needs cryptography, which is not installed, for TLS between the nodes; "
    'pip install "sciml-surrogates[slurm]"'
)


def make_certificate(folder: Path) -> None:
    """Write a new pair into a folder that only its owner can look into.

    Raises:
        InputError: cryptography is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise InputError(NEEDS) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sciml run")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)  # clocks of nodes differ
        .not_valid_after(now + 365 * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for path, content in (
        (folder / KEY, secret),
        (folder / CERTIFICATE, made.public_bytes(serialization.Encoding.PEM)),
    ):
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)


def security(folder: Path) -> Any:
    """What dask takes: encrypted or not at all, with the pair of a folder on each side."""
    from distributed import Security

    key, certificate = (folder / KEY).read_text(), (folder / CERTIFICATE).read_text()
    roles = ("client", "scheduler", "worker")
    return Security(
        require_encryption=True,
        tls_ca_file=certificate,
        **{f"tls_{role}_key": key for role in roles},
        **{f"tls_{role}_cert": certificate for role in roles},
    )
