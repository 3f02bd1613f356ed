"""What driver and master share: credentials, the channel, and skein's exceptions turned into ours."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayyarn import diagnose
from rayyarn.errors import ClusterFailed, NotReady, RayYarnError, YarnRefused
from rayyarn.grpc_import import load

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL_LIMIT = 20.0


class DriverUnreachable(YarnRefused):
    """The driver's JVM ended or does not answer."""

    code = "driver_unreachable"


class MasterUnreachable(ClusterFailed):
    """The ApplicationMaster does not answer (any more, or not from this machine)."""

    code = "master_unreachable"


@dataclass(frozen=True)
class Credentials:
    """The certificate and key (PEM) that one cluster's driver, master and containers know each other by."""

    certificate: bytes
    key: bytes


def new_credentials() -> Credentials:
    """Fresh credentials for one cluster, good for ten years.

    Skein's shared ones in ~/.skein expire a year after they were first made, and its RSA key takes a tenth of a second
    and the import of skein before the JVM can be started; netty and gRPC take a P-256 key as well.
    """
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "skein-internal")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # nodes' clocks may be behind the edge's
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return Credentials(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def translate(error: Exception, doing: str = "talking to YARN") -> RayYarnError:
    """Our exception for one of skein's, with the cause that its text gives away."""
    theirs = load("skein.exceptions")
    text = str(error).strip() or type(error).__name__
    if isinstance(error, theirs.TimeoutError):
        return NotReady(f"no answer in time while {doing}", log=text)
    if isinstance(error, theirs.ConnectionError | theirs.DriverNotRunningError):
        kind: type[RayYarnError] = MasterUnreachable if "application" in text else DriverUnreachable
        return kind(f"connection lost while {doing}", log=text)
    if isinstance(error, theirs.ApplicationNotRunningError):
        return ClusterFailed(f"the application does not run (any more) while {doing}", log=text)
    known = diagnose.explain(text)
    if known is not None:
        return known
    kind = ClusterFailed if isinstance(error, theirs.ApplicationError) else YarnRefused
    return kind(f"failed while {doing}", log=diagnose.telling_line(text))


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever skein raises in the body into one of our errors."""
    of_skein = load("skein.exceptions").SkeinError
    try:
        yield
    except (of_skein, ValueError, KeyError, OSError) as error:  # its ValueError and KeyError are the built-in ones
        raise translate(error, doing) from error


def channel(address: str, credentials: Credentials) -> Any:
    """A TLS channel on which both ends show the cluster's certificate."""
    grpc = load()
    secure = grpc.ssl_channel_credentials(credentials.certificate, credentials.key, credentials.certificate)
    # http_proxy breaks even loopback calls (jcrist/skein#165): switched off here, not in the user's environment.
    options = [("grpc.ssl_target_name_override", "skein-internal"), ("grpc.default_authority", "skein-internal"),
               ("grpc.enable_http_proxy", 0)]  # fmt: skip
    return grpc.secure_channel(address, secure, options)


def security(credentials: Credentials) -> Any:
    """Skein's form of the credentials."""
    return load("skein").Security(cert_bytes=credentials.certificate, key_bytes=credentials.key)
