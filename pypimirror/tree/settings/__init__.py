"""Settings of clients and servers, ready to paste: an address, and a folder -> one text for one file. Pure.

    address      where clients see a tree, read and quoted
    quoting      paths, as each syntax wants them
    clients      what installs: pip, uv, poetry, ...
    servers      what serves: nginx, caddy, apache, ...
    units        what publishes bundles that arrive
    texts        the templates, and why each line stands there

Whatever goes into a text is checked or quoted here, so that no address and no path can say more than it is meant to.
"""

from pypimirror.tree.settings.address import Address, parse_address
from pypimirror.tree.settings.clients import CLIENTS, Source, client_settings
from pypimirror.tree.settings.servers import SERVERS, Site, server_settings
from pypimirror.tree.settings.units import UNITS, Drop, unit_settings

__all__ = [
    "CLIENTS",
    "SERVERS",
    "UNITS",
    "Address",
    "Drop",
    "Site",
    "Source",
    "client_settings",
    "parse_address",
    "server_settings",
    "unit_settings",
]
