"""Every client for real: the table of clients x ways to a tree, with the versions chosen and the requests seen.

    world.py     the bundles and the tree, made by our own commands; what is wished, and what must come out
    programs.py  the clients, each in an environment of its own, installed once into a cache folder
    clients.py   how each client is told where the tree is, and what it then has installed
    ways.py      the servers, and the ways without any
    objects.py   one of them: a store of objects
    alone.py     a network of one's own, in which nothing but the tree can be reached
    cell.py      one client on one way: a process of its own
    table.py     what is a fault, and the table in Markdown

``python -m tests.acceptance`` prints the table (``nox -s clients``). ``test_fast.py`` runs a part of it in the gate.
"""
