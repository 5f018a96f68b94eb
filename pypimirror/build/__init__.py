"""Running a build backend, when a person allowed it: the one place where code of strangers runs.

    builder     Builder: what a build requires, its metadata, its wheel; owns one temporary folder
    source      Source: the sdist or the folder that is built, and what its pyproject.toml says of its backend
    unpacking   an sdist, or a folder, to a fresh folder of ours
    environment the build requirements, as a Python environment that was made without any index
    hooks       one hook called, its answer checked
    running     one process watched: time, disk, output
    sandbox     Sandbox: what the process sees of this machine; whether the system allows to hide the rest
    inside      the process's first code: a script of its own, which hides the rest and watches from within
    limits      Limits: what a build may use

Nothing here is imported by code that was not asked to build.
"""
