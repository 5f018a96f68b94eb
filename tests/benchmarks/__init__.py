"""The benchmark bed: a frozen piece of a real index, a server that replays it, and races of several tools over it.

    store       what was recorded: pages, metadata, files; outside the repository
    upstream    the real index, asked once, while recording
    server      replays the store on the loopback, with a latency and a bandwidth; counts what it is asked
    workloads   what is asked for, and for which targets
    jobs        the commands of each tool
    measure     a child process: its wall time, its CPU, its memory
    races       every tool, interleaved, several times
    tables      figures as Markdown
    plot        figures as SVG
    profiles    where our own CPU goes

Run by ``nox -s benchmarks`` and ``nox -s flames``, or by hand: ``python -m tests.benchmarks --help``.
"""
