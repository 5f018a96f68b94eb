"""pypimirror: offline mirrors of Python packages, as one bundle and a static tree.

The map, in the order that data passes through:

    model/       the nouns: names, targets, files, requests, plan, manifest
    inputs/      text -> roots: requirements files, command lines
    index/       what an index can say: the port, pages, metadata; a manifest can be asked, too
    resolve/     roots x targets -> resolutions -> plan, given an Index
    net/         the connected world: client, cache, downloads, pip's settings
    bundle/      plan + files -> manifest + one tar; and back, trusting nothing
    tree/        manifests -> pages -> a served folder, swapped in one step
    connected    plan and bundle, told as a story
    closed       render and verify, told as a story; inhouse: add; repair; upkeep: withdraw, rollback, prune;
                 standing: status
    inhouse      add, likewise
    repair       repair, likewise
    cli/         people

Two rules. Imports go down only (``tests/test_layers.py``). What is known grows from type to type, Root -> Target ->
Listing -> Resolution -> Plan -> VerifiedFile -> Manifest -> Page, and nothing is sent back.
"""

__version__ = "0.1.0"
