"""The certificate of ``https://`` and ``wss://``, and where clients get it to trust it.

LocalStack makes its own certificate for ``localhost`` alone, unless it downloads the vendor's. This
one names what APIs are called by, here and on AWS, and ``GET /_tokenfree/certificate.pem`` hands it
out: the file is what ``SSL_CERT_FILE``, ``AWS_CA_BUNDLE``, ``NODE_EXTRA_CA_CERTS`` or ``curl
--cacert`` take.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from localstack import config
from rolo import Request, Response

PATH = "/_tokenfree/certificate.pem"
LIFE = timedelta(days=365)
LOCAL = "localhost.localstack.cloud"
NAMES = ("localhost", LOCAL, f"*.{LOCAL}", f"*.execute-api.{LOCAL}")
ADDRESSES = ("127.0.0.1", "::1")


def prepare() -> None:
    """Before LocalStack opens its port. Leaves a certificate alone that somebody chose, the one
    that LocalStack would download, and our own while it is good for another day."""
    if config.CUSTOM_SSL_CERT_PATH or not config.SKIP_SSL_CERT_DOWNLOAD:
        return
    file = Path(config.dirs.cache, "tokenfree-certificate.pem")
    if not _is_good(file, datetime.now(UTC) + timedelta(days=1)):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(make_certificate(datetime.now(UTC)))
    config.CUSTOM_SSL_CERT_PATH = str(file)


def install() -> None:
    from localstack.services.edge import ROUTER

    ROUTER.add(path=PATH, endpoint=hand_out, methods=["GET"])


def hand_out(_request: Request) -> Response:
    if not config.CUSTOM_SSL_CERT_PATH:
        return Response(status=404)
    certificates = x509.load_pem_x509_certificates(Path(config.CUSTOM_SSL_CERT_PATH).read_bytes())
    pem = b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    return Response(pem, mimetype="application/x-pem-file")


def make_certificate(now: datetime) -> bytes:
    """A key and the certificate that it signs itself, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    regions = boto3.Session().get_available_regions("apigatewayv2")
    names = [*NAMES, *(f"*.execute-api.{region}.amazonaws.com" for region in regions)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFE)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    *(x509.DNSName(each) for each in names),
                    *(x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES),
                ]
            ),
            critical=False,
        )
        # It signs nothing but itself.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _is_good(file: Path, until: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return False
    return certificate.not_valid_after_utc > until
