"""Why an exchange failed, in one line without secrets: what the system and httpcore say, as a ``WireFault``."""

from __future__ import annotations

import socket
import ssl

from pypimirror.model.urls import redact
from pypimirror.net.sockets import WireFault, reason_of

__all__ = ["connect_fault", "fixed_fault", "protocol_fault", "root_of"]


def root_of(error: BaseException) -> BaseException:
    """The system's own error behind a library's: its cause, or inside it, since httpcore drops causes on the way."""
    while True:
        inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            return error
        error = inner


def protocol_fault(text: str) -> WireFault:
    """The answer was none, or not whole, or no HTTP: *text* is httpcore's word for it."""
    lowered = text.lower()
    if "disconnected" in lowered:
        return WireFault("broken", "the server closed the connection without an answer")
    if "incomplete" in lowered or "without sending complete" in lowered:
        return WireFault("broken", "the connection ended before the whole answer had come")
    return WireFault("fixed", f"the answer is not valid HTTP: {redact(text)}")


def fixed_fault(error: BaseException) -> WireFault:
    """What can't be asked at all."""
    return WireFault("fixed", redact(" ".join(str(error).split())) or type(error).__name__)


def connect_fault(error: BaseException, host: str, proxy: str | None) -> WireFault:
    """No connection to *host*, or to the *proxy* before it, came about."""
    cause = root_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = cause.verify_message or cause.reason or "it can't be verified"
        hint = f"if {host} has a private certificate, name its authority with --cert FILE"
        if "not yet valid" in words or "expired" in words:
            hint = "check this machine's clock; else the server's certificate must be renewed"
        return WireFault("fixed", f"certificate refused: {words}", hint)
    if isinstance(cause, ssl.SSLEOFError):
        return WireFault("connect", "the connection ended during the TLS handshake")
    if isinstance(cause, ssl.SSLError):
        hint = "is this a plain http address?" if cause.reason == "WRONG_VERSION_NUMBER" else ""
        return WireFault("fixed", reason_of(cause), hint)
    if isinstance(cause, (socket.gaierror, UnicodeError)):
        words = "its name can't be resolved (DNS)"
    else:
        words = reason_of(cause)
    if proxy is not None:
        place = redact(proxy).rpartition("@")[2].rpartition("/")[2]
        return WireFault(
            "connect", f"the proxy {place}: {words}", "check --proxy, and the variables HTTPS_PROXY, NO_PROXY"
        )
    return WireFault("connect", words, "check the network, the spelling of the address, and whether a proxy is needed")
