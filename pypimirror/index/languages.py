"""What an sdist is written in beside Python, told by the names of its files: so what building it takes. Pure."""

from __future__ import annotations

import re

__all__ = ["Languages", "compiler_note"]

_BY_ENDING = {
    "c": "C", "cc": "C++", "cpp": "C++", "cxx": "C++", "pyx": "Cython", "rs": "Rust", "f": "Fortran",
    "f77": "Fortran", "f90": "Fortran", "f95": "Fortran", "f03": "Fortran", "f08": "Fortran", "for": "Fortran",
    "m": "Objective-C", "mm": "Objective-C", "go": "Go", "cu": "CUDA", "s": "Assembler",
}  # fmt: skip
_BY_NAME = {"Cargo.toml": "Rust", "CMakeLists.txt": "CMake", "meson.build": "Meson"}
_ASIDE = re.compile(r"(?:^|/)(?:tests?|testing|docs?|examples?|samples?|demos?|benchmarks?|bench|contrib|third_party)/")


class Languages:
    """Collects what the paths of one sdist tell; tests, documentation and examples aside."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def look(self, path: str) -> None:
        name = path.rpartition("/")[2]
        ending = name.rpartition(".")[2].lower() if "." in name else ""
        language = _BY_NAME.get(name) or _BY_ENDING.get(ending)
        if language is not None and language not in self._found and not _ASIDE.search(path.lower()):
            self._found.add(language)

    def found(self) -> tuple[str, ...]:
        """The languages and build systems, by name."""
        return tuple(sorted(self._found))


# What the build of a project commonly asks of the system, beside a compiler and the headers of Python.
_SYSTEM = {
    "cffi": "libffi", "cryptography": "OpenSSL and Rust", "dbus-python": "D-Bus and GLib", "gevent": "libev and c-ares",
    "gssapi": "Kerberos 5", "h5py": "HDF5", "kerberos": "Kerberos 5", "lxml": "libxml2 and libxslt",
    "m2crypto": "OpenSSL and SWIG", "matplotlib": "FreeType", "mysqlclient": "MySQL or MariaDB client",
    "netcdf4": "netCDF", "numpy": "BLAS and LAPACK", "pillow": "zlib and libjpeg",
    "psycopg2": "PostgreSQL client (libpq)",
    "pycairo": "cairo", "pycurl": "libcurl", "pygobject": "GObject Introspection",
    "pyodbc": "unixODBC", "python-ldap": "OpenLDAP and SASL", "pyzmq": "ZeroMQ", "reportlab": "FreeType",
    "scipy": "BLAS, LAPACK and Fortran", "systemd-python": "libsystemd",
    "xmlsec": "libxml2 and libxmlsec1",
}  # fmt: skip


def compiler_note(languages: tuple[str, ...], project: str) -> str:
    """What whoever builds the sdist must have beside Python: ``a compiler (C, Cython), and libffi``; maybe empty."""
    if not languages:
        return ""
    needs = _SYSTEM.get(project)
    return f"a compiler ({', '.join(languages)})" + (f", and {needs}" if needs else "")
