"""Pages that list every project or every file, and all pages of a composition together. Pure.

    simple/index.html, index.json                  every project of the merged index, or of a channel's
    packages/index.html                            every file: the address for ``--find-links``
    index.html                                     for people

Nothing but what is served goes in, so the pages in a full bundle and those of a tree that holds this bundle alone are
the same. The long ones have a row in one line for each file or project: a page that is there already is mended by
taking out the rows of what changed and putting in new ones, which gives the bytes that making it anew would give.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from markupsafe import Markup

from pypimirror.model.manifest import Manifest
from pypimirror.model.manifest_lists import size_of
from pypimirror.model.names import Label, NormalizedName, Sha256
from pypimirror.tree.compose import Accepted, Composition, ServedProject, compose, layer_order
from pypimirror.tree.contents import AcceptedBundle
from pypimirror.tree.layout import LANDING, LOCKS, PACKAGES_PAGE
from pypimirror.tree.locks import tree_locks
from pypimirror.tree.long_page import LongPage
from pypimirror.tree.page import Page
from pypimirror.tree.pages import API_VERSION, html_page, json_page, project_pages, template
from pypimirror.tree.readme import readme
from pypimirror.tree.rows import link
from pypimirror.values import dataclass

__all__ = [
    "Change",
    "FileRows",
    "Head",
    "ProjectRows",
    "bundle_members",
    "landing_page",
    "list_pages",
    "packages_page",
    "root_pages",
    "summary",
    "tree_pages",
]

_MANY_ROOTS = 40
_UNWRITTEN = Sha256("0" * 64)
_ROWS = "<!--rows-->"
_FILE_ROW, _FILE_END = b'    <a href="', b"</a><br>\n"
_PROJECT_ROW = b'<tr><td><a href="simple/'


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What the landing page says above its list. ``channels`` is the order of layers, the upper first.

    ``locks`` are the names of the files in ``locks/``. ``indexed``: each of several channels has an index.
    """

    channels: tuple[Label, ...]
    bundles: Sequence[AcceptedBundle]
    projects: int
    files: int
    size: int
    locks: Sequence[str] = ()
    indexed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What is served otherwise than *old* pages say: the ``dropped`` projects as they were, the new ones in ``added``.

    Without old pages, all that is served is new.
    """

    added: Collection[ServedProject]
    dropped: Collection[ServedProject] = ()
    old: Mapping[str, bytes] = field(default_factory=dict)


def tree_pages(
    composition: Composition, *, indexed: bool = False, locks: Sequence[Page] | None = None
) -> Iterator[Page]:
    """Every page of the merged index, those of a project before those that name it. *indexed*: see ``Head``.

    *locks* are those of the composition, where they are made already; they are only named here.
    """
    locks = tuple(tree_locks(composition)) if locks is None else locks
    for project in composition.projects:
        yield from project_pages(project)
    bundles = tuple(map(summary, composition.bundles))
    head = Head(
        channels=composition.channels,
        bundles=bundles,
        projects=len(composition.projects),
        files=sum(len(project.files) for project in composition.projects),
        size=sum(project.size for project in composition.projects),
        locks=[page.path.removeprefix(f"{LOCKS}/") for page in locks],
        indexed=indexed,
    )
    yield from list_pages(head, Change(added=composition.projects))
    yield from root_pages(project.name for project in composition.projects)


def bundle_members(manifest: Manifest) -> tuple[Page, ...]:
    """The pages that a full bundle carries ready-made, sorted by path.

    They do not depend on ``manifest.members``, in which the builder then lists them.
    """
    composition = compose([Accepted(digest=_UNWRITTEN, manifest=manifest)])
    locks = tuple(tree_locks(composition))
    pages = [*tree_pages(composition, locks=locks), *locks]
    pages.append(Page(path="README.txt", data=readme(composition).encode("utf-8")))
    return tuple(sorted(pages, key=lambda page: page.path))


def root_pages(projects: Iterable[NormalizedName], channel: Label | None = None) -> tuple[Page, Page]:
    """The list of projects: HTML and JSON. No client needs it; people and crawlers do."""
    folder = "simple" if channel is None else f"channels/{channel}/simple"
    names = sorted(projects)
    rows = "".join(f'    <a href="{name}/">{name}</a><br>\n' for name in names)
    out: dict[str, object] = {
        "meta": {"api-version": API_VERSION},
        "projects": [{"name": name} for name in names],
    }
    head, tail = _frame("root.html.j2")
    return (
        Page(path=f"{folder}/index.html", data=head + rows.encode("ascii") + tail),
        json_page(f"{folder}/index.json", out),
    )


def list_pages(head: Head, change: Change) -> tuple[Page, Page]:
    """The page of all files, and the landing page."""
    return packages_page(change), landing_page(head, change)


# ---- every file -----------------------------------------------------------------------------------------------------


def packages_page(change: Change) -> Page:
    """Every file, with the attributes that a bare folder can't state.

    Yanked files are left out unless something pins them: uv does not heed ``data-yanked`` in a find-links page.
    """
    files = FileRows()
    for project in change.added:
        files.add(project)
    for project in change.dropped:
        files.drop(project)
    return files.page(change.old.get(PACKAGES_PAGE))


class FileRows:
    """The rows of ``packages_page``, project by project."""

    def __init__(self) -> None:
        self._rows = LongPage(_FILE_ROW, _file_of)

    def add(self, project: ServedProject) -> None:
        for file in project.files:
            if file.yanked is None or file.filename in project.pinned:
                self._rows.add(file.filename, f"    {link(file, '')}\n".encode())

    def drop(self, project: ServedProject) -> None:
        """As it was served before."""
        self._rows.drop(file.filename for file in project.files)

    def page(self, old: bytes | None) -> Page:
        """*old* is the page before the change; None where all was added."""
        return Page(path=PACKAGES_PAGE, data=self._rows.join(*_frame("packages.html.j2"), old))


def _file_of(row: bytes) -> str:
    end = len(row) - len(_FILE_END)
    return row[row.rindex(b">", 0, end) + 1 : end].decode("ascii")


# ---- for people -----------------------------------------------------------------------------------------------------


def landing_page(head: Head, change: Change) -> Page:
    """For people: what is inside, since when, how to use it."""
    projects = ProjectRows()
    for project in change.added:
        projects.add(project)
    for project in change.dropped:
        projects.drop(project)
    return projects.page(head, change.old.get(LANDING))


class ProjectRows:
    """The rows of ``landing_page``, project by project."""

    def __init__(self) -> None:
        self._rows = LongPage(_PROJECT_ROW, _project_of)
        self._made = template("landing_row.html.j2")

    def add(self, project: ServedProject) -> None:
        self._rows.add(project.name, self._made.render(project=project).encode())

    def drop(self, project: ServedProject) -> None:
        """As it was served before."""
        self._rows.drop([project.name])

    def page(self, head: Head, old: bytes | None) -> Page:
        """*old* is the page before the change; None where all was added."""
        return Page(path=LANDING, data=self._rows.join(*_landing_frame(head), old))


def _landing_frame(head: Head) -> tuple[bytes, bytes]:
    newest = _newest(head.bundles)
    return _frame(
        "landing.html.j2",
        project_count=head.projects,
        file_count=head.files,
        size=head.size,
        locks=sorted(head.locks),
        indexed=head.indexed and len(newest) > 1,
        newest=max((each.source.sequence for each in head.bundles), default=0),
        channels=[
            {
                "name": channel,
                "newest": newest[channel].source.sequence,
                "count": sum(each.source.channel == channel for each in head.bundles),
                "targets": list(
                    dict.fromkeys(
                        target
                        for each in sorted(head.bundles, key=lambda each: -each.source.sequence)
                        if each.source.channel == channel
                        for target in each.targets
                    )
                ),
                "roots": newest[channel].roots,
            }
            for channel in layer_order(head.channels, newest)
        ],
        uncovered=[line for channel in layer_order(head.channels, newest) for line in newest[channel].uncovered],
    )


def _project_of(row: bytes) -> str:
    return row[len(_PROJECT_ROW) : row.index(b"/", len(_PROJECT_ROW))].decode("ascii")


def _newest(bundles: Iterable[AcceptedBundle]) -> dict[Label, AcceptedBundle]:
    """The newest bundle of each channel."""
    newest: dict[Label, AcceptedBundle] = {}
    for each in sorted(bundles, key=lambda each: -each.source.sequence):
        newest.setdefault(each.source.channel, each)
    return newest


def summary(accepted: Accepted) -> AcceptedBundle:
    """What a person wants to know of a bundle at a glance."""
    manifest = accepted.manifest
    roots = list(
        dict.fromkeys(root.requirement for each in manifest.sets if each.builds is None for root in each.roots)
    )
    if len(roots) > _MANY_ROOTS:
        roots = [*roots[:_MANY_ROOTS], f"and {len(roots) - _MANY_ROOTS} more"]
    minors = {target.name: target.environment.python_version for target in manifest.targets}
    return AcceptedBundle(
        source=accepted.source,
        tool=manifest.tool,
        files=len(manifest.files),
        size=size_of(manifest.files),
        resolutions=len(manifest.resolutions),
        targets=tuple(dict.fromkeys(target.name for target in manifest.targets)),
        roots=tuple(roots),
        withdrawn=manifest.withdrawn,
        uncovered=tuple(
            f"{gap.set} on {gap.target}, Python {gap.patches.describe(minors.get(gap.target, ''))}: {gap.reason}"
            for gap in manifest.uncovered
        ),
    )


# ---- long pages -----------------------------------------------------------------------------------------------------


def _frame(name: str, **values: object) -> tuple[bytes, bytes]:
    """What stands above and below the rows."""
    rows = Markup(_ROWS)  # noqa: S704 - our own mark
    head, _, tail = html_page("", name, rows=rows, **values).data.partition(f"{_ROWS}\n".encode())
    return head, tail
