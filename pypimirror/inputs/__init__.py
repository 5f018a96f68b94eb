"""Text into roots: requirements files and command lines. Pure: files are read through a reader that is handed in."""
