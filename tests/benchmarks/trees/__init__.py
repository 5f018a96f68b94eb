"""How fast trees are made and kept: ours, other makers of static indexes, and the floor of writing the same bytes.

``python -m tests.benchmarks.trees --help``. What is compared, and what came out: ``TREES.md``.
"""
