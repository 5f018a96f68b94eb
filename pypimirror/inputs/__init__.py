"""Text -> roots. Pure: files are read through a reader that is handed in, variables come from a mapping.

    requirements.py   the way in: read_wishes
    wishes.py         what comes out: Wishes, IndexOptions
    reader.py         the port to the world: Reader
    text.py           bytes -> text -> joined lines without comments, variables filled in
    options.py        the options that pip allows in a file, and how a line is split into them
    formats.py        the arithmetic of --only-binary and --no-binary
    written.py        one requirement as a person wrote it -> Requirement, or the one file that it names
    gathering.py      all that is collected in one run, the meaning of each option
    hashmode.py       the rules of hash-checking mode
    sayings.py        why a requirement is refused, and what to write instead
    looks.py          files that are something else: lock files, web pages, archives
    faults.py         every fault of one run, within bounds

The measure is pip's own grammar of requirements files; ``tests/inputs/test_like_pip.py`` compares with pip itself.
"""
