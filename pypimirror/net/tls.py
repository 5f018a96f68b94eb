"""TLS: whose certificates are believed, and the certificate that we show.

With ``Settings.cert`` those alone, as pip has it. Else the system's: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, or the
place that OpenSSL was built with, or on Windows the system's store. Where a Python came from elsewhere and its OpenSSL
looks in a place that this system doesn't have, the usual bundles of Linux systems are tried, then those that
pip brings.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import ssl
from functools import lru_cache
from pathlib import Path

from pypimirror.errors import UsageFault
from pypimirror.net.settings import Settings

__all__ = ["ssl_context"]

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_UNREADABLE = "give a PEM file: certificates, or a key and its certificate in one file"


def ssl_context(settings: Settings, *, verify: bool = True) -> ssl.SSLContext:
    """The context for all hosts; with ``verify`` false, for those that ``settings.trusts``: any certificate will do.

    Made once (20 ms) and shared. Raises UsageFault (``bad-setting``) where a certificate file can't be read.
    """
    return _context(settings.cert, settings.client_cert) if verify else _unchecked(settings.client_cert)


@lru_cache(maxsize=4)
def _context(cert: str | None, client_cert: str | None) -> ssl.SSLContext:
    if cert is None:
        context = ssl.create_default_context()
        if not _believes_anyone(context):
            _believe_a_bundle(context)
    else:
        folder = Path(cert).is_dir()
        try:
            context = ssl.create_default_context(cafile=None if folder else cert, capath=cert if folder else None)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise _fault(cert, error) from None
    return _with_own(context, client_cert)


@lru_cache(maxsize=4)
def _unchecked(client_cert: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _with_own(context, client_cert)


def _with_own(context: ssl.SSLContext, client_cert: str | None) -> ssl.SSLContext:
    if client_cert is not None:
        try:
            # An encrypted key would ask on the terminal, at a time nobody expects: an empty password fails instead.
            context.load_cert_chain(client_cert, password="")
        except (OSError, ValueError) as error:
            raise _fault(client_cert, error) from None
    return context


def _fault(path: str, error: Exception) -> UsageFault:
    reason = None if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    what = reason or "there is none in it that can be read"
    return UsageFault(f"the certificates in {path} can't be used: {what}", code="bad-setting", hint=_UNREADABLE)


def _believes_anyone(context: ssl.SSLContext) -> bool:
    # Who names certificates in a variable wants those, and none other, be there ever so few.
    if "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ or context.cert_store_stats()["x509_ca"]:
        return True
    # A folder is looked into at each handshake only, and only for names made of hashes.
    try:
        folder = Path(ssl.get_default_verify_paths().openssl_capath)
        return any(_HASHED.fullmatch(path.name) for path in folder.iterdir())
    except OSError:
        return False


def _believe_a_bundle(context: ssl.SSLContext) -> None:
    for bundle in _BUNDLES:
        try:
            context.load_verify_locations(bundle)
        except OSError:
            continue
        return
    spec = importlib.util.find_spec("pip")  # looked up, not imported
    if spec is not None and spec.origin is not None:
        with contextlib.suppress(OSError):
            context.load_verify_locations(Path(spec.origin).parent / "_vendor" / "certifi" / "cacert.pem")
