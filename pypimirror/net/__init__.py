"""The connected world: client, cache, retries, downloads, and where pip's settings are read."""
