"""What the layers of a tree keep from clients, and why. Pure."""

from __future__ import annotations

from pypimirror.model.names import Label, Version
from pypimirror.model.plan import Pin
from pypimirror.tree.compose import Layers

__all__ = ["hidden_versions", "why_absent"]


def hidden_versions(before: Layers | None, after: Layers | None) -> dict[Label, tuple[Version, ...]]:
    """The versions that the merged index served, and serves no more though a lower channel has them, by channel."""
    if before is None or after is None:
        return {}
    served = {file.filename for file in after.merged.files}
    gone = {file.filename for file in before.merged.files} - served
    found: dict[Label, tuple[Version, ...]] = {}
    for channel, project in after.by_channel.items():
        if channel != after.merged.channel:
            versions = dict.fromkeys(file.version for file in project.files if file.filename in gone)
            if versions:
                found[channel] = tuple(versions)
    return found


def why_absent(pin: Pin, project: Layers | None) -> str:
    """Why a client does not see the file of *pin*, for people; empty where it does. *project* is that of the pin."""
    what = f"{pin.project} {pin.version}"
    if project is None:
        return f"{what} is served no more"
    if any(file.filename == pin.file for file in project.merged.files):
        return ""
    upper = project.merged.channel
    for channel, each in project.by_channel.items():
        if channel != upper and any(file.filename == pin.file for file in each.files):
            own = ", ".join(map(str, project.by_channel[upper].versions)) or "none that is not withdrawn"
            return f"channel {upper!r} hides {what} of channel {channel!r}; its own versions: {own}"
    return f"{what} was withdrawn, or left with its bundle"
