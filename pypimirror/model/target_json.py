"""A target as JSON: inside a manifest, and as a file of its own that a person carries to the connected host.

    {"format": 1, "target": {"name": ..., "python": ..., "platform": ..., "tags": [...], "environment": {...}, ...}}

``pypimirror target`` writes such a file on the machine to be served. It has been through hands and mailboxes, so it is
checked whole: the tags are tags, each stands once, and the versions agree with one another.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields as dataclass_fields

from pypimirror.errors import UsageFault
from pypimirror.model.names import label, parse_version
from pypimirror.model.reading import Malformed, Node
from pypimirror.model.targets import MarkerEnvironment, PatchRange, Target

__all__ = ["dump_target", "parse_target_file", "patches_in", "patches_out", "target_in", "target_out"]

_FORMAT = 1
_MAX_BYTES = 4 * 1024 * 1024
_MAX_PATCH = 10**6
_TAG = re.compile(r"[a-z0-9_]{1,50}-[a-z0-9_]{1,50}-[a-z0-9_]{1,100}")
_ENVIRONMENT_KEYS = tuple(field.name for field in dataclass_fields(MarkerEnvironment))


def patches_out(patches: PatchRange) -> dict[str, object]:
    return {"lowest": patches.lowest, "highest": patches.highest}


def patches_in(node: Node) -> PatchRange:
    """Raises Malformed."""
    at = node.fields("lowest", "highest")
    lowest = at["lowest"].number(high=_MAX_PATCH)
    highest = at["highest"].maybe(lambda n: n.number(low=lowest, high=_MAX_PATCH))
    return PatchRange(lowest=lowest, highest=highest)


def target_out(target: Target) -> dict[str, object]:
    return {
        "name": target.name,
        "python": target.python,
        "platform": target.platform,
        "tags": list(target.tags),
        "environment": target.environment.markers(),
        "patches": patches_out(target.patches),
    }


def target_in(node: Node) -> Target:
    """Raises Malformed."""
    at = node.fields("name", "python", "platform", "tags", "environment", "patches")
    environment = at["environment"].fields(*_ENVIRONMENT_KEYS)
    return Target(
        name=at["name"].checked(label),
        python=at["python"].text(limit=100),
        platform=at["platform"].text(limit=100),
        tags=at["tags"].texts(),
        environment=MarkerEnvironment(**{key: value.text(limit=1000) for key, value in environment.items()}),
        patches=patches_in(at["patches"]),
    )


def dump_target(target: Target) -> bytes:
    """The bytes of a target file: ASCII, one tag a line, so that two can be compared by eye."""
    text = json.dumps({"format": _FORMAT, "target": target_out(target)}, indent=1, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def parse_target_file(data: bytes, *, origin: str = "target file") -> Target:
    """Check the bytes of a target file. Raises UsageFault (``bad-target-file``) that names *origin* and the place."""
    try:
        return _checked(_decoded(data))
    except Malformed as error:
        raise UsageFault(
            f"{origin} describes no target: {error}",
            code="bad-target-file",
            hint="write it anew with pypimirror target, on the machine that is to be served",
        ) from None


def _decoded(data: bytes) -> Node:
    if len(data) > _MAX_BYTES:
        raise Malformed("", f"larger than {_MAX_BYTES} bytes")
    try:
        # utf-8-sig: editors and shells of Windows put a byte order mark before what they save.
        return Node(json.loads(data.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}") from None


def _checked(top: Node) -> Target:
    version = Node(top.value.get("format") if isinstance(top.value, dict) else None, "format").number()
    if version != _FORMAT:
        raise Malformed("format", f"this version reads format {_FORMAT}, not {version}")
    target = target_in(top.fields("format", "target")["target"])
    if not target.tags:
        raise Malformed("target.tags", "empty")
    for i, tag in enumerate(target.tags):
        if not _TAG.fullmatch(tag):
            raise Malformed(f"target.tags[{i}]", f"not a wheel tag: {tag[:80]!r}")
    if len(set(target.tags)) != len(target.tags):
        raise Malformed("target.tags", "a tag stands twice")
    _check_versions(target)
    return target


def _check_versions(target: Target) -> None:
    environment, where = target.environment, "target.environment"
    try:
        full = parse_version(environment.python_full_version)
    except ValueError as error:
        raise Malformed(f"{where}.python_full_version", str(error)) from None
    if environment.python_version != f"{full.major}.{full.minor}":
        raise Malformed(f"{where}.python_version", f"not that of {full}")
    if target.patches.lowest != full.micro:
        raise Malformed("target.patches.lowest", f"not the patch of {full}")
