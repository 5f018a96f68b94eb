from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pypimirror.errors import IndexFault, IntegrityFault, ResolutionFault
from pypimirror.index.wheel import TAIL_SIZE
from pypimirror.model.names import sha256_of_hex
from pypimirror.net.settings import Source
from tests.fakes import server as fake
from tests.fakes.archives import make_sdist, make_wheel
from tests.fakes.server import FakeServer
from tests.net.helpers import World, add_wheel, index_source, name, settings_for

BIG = 3 * TAIL_SIZE


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def other() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


def world(folder: Path, *servers: FakeServer, **changes: object) -> World:
    sources = [index_source(each, name=f"index{i}.example") for i, each in enumerate(servers)]
    return World(folder / "cache", settings_for(*sources, **changes))


class TestListing:
    @pytest.mark.parametrize("form", ["json", "html", "asked"])
    def test_a_project_is_listed_whichever_form_its_page_has(
        self, server: FakeServer, tmp_path: Path, form: str
    ) -> None:
        server.format = form
        served = add_wheel(server, requires_python=">=3.9", yanked="broken")
        with world(tmp_path, server) as run:
            file = run.one()
        assert file.url == server.file_url(served.filename)
        assert file.sha256 == hashlib.sha256(served.data).hexdigest()
        assert (file.requires_python, file.yanked, file.index) == (">=3.9", "broken", "index0.example")

    def test_a_project_that_no_index_has_is_none(self, server: FakeServer, other: FakeServer, tmp_path: Path) -> None:
        with world(tmp_path, server, other) as run:
            assert run.index.listing(name("nothing")) is None

    def test_a_page_is_asked_for_once_in_a_run_whoever_asks(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        with world(tmp_path, server) as run:
            run.index.expect([name("demo"), name("demo")])
            threads = [threading.Thread(target=run.index.listing, args=(name("demo"),)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            add_wheel(server, version="2.0")
            assert list(run.files()) == ["demo-1.0-py3-none-any.whl"]
        assert server.paths() == ["/simple/demo/"]

    def test_what_is_expected_is_fetched_at_once_and_together(self, server: FakeServer, tmp_path: Path) -> None:
        for number in range(12):
            add_wheel(server, f"demo{number}")
        barrier = threading.Barrier(12, timeout=10)
        server.faults.append(fake.Fault("/simple/*", lambda _: bool(barrier.wait()) and False, None))
        with world(tmp_path, server) as run:
            run.index.expect([name(f"demo{number}") for number in range(12)])
            assert all(run.files(f"demo{number}") for number in range(12))

    def test_a_fault_of_what_was_expected_comes_out_when_it_is_asked_for(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        server.faults.append(fake.status("/simple/demo/", 500, times=None))
        with world(tmp_path, server) as run:
            run.index.expect([name("demo")])
            for _ in range(2):
                with pytest.raises(IndexFault) as caught:
                    run.index.listing(name("demo"))
                assert caught.value.code == "server-error"

    def test_the_first_index_that_has_a_project_wins_and_the_others_are_named(
        self, server: FakeServer, other: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(server, version="1.0")
        add_wheel(other, version="99.0")
        add_wheel(other, "elsewhere")
        with world(tmp_path, server, other) as run:
            listing = run.index.listing(name("demo"))
            assert listing is not None
            assert [str(file.name.version) for file in listing.files] == ["1.0"]
            assert (listing.index, listing.also_on) == ("index0.example", ("index1.example",))
            elsewhere = run.index.listing(name("elsewhere"))
            assert elsewhere is not None
            assert (elsewhere.index, elsewhere.also_on) == ("index1.example", ())

    def test_an_index_that_fails_is_never_taken_for_one_that_has_nothing(
        self, server: FakeServer, other: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(other)
        server.faults.append(fake.status("/simple/*", 502, times=None))
        with world(tmp_path, server, other) as run, pytest.raises(IndexFault):
            run.index.listing(name("demo"))

    def test_a_later_index_that_fails_is_only_told_of_once(
        self, server: FakeServer, other: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(server)
        add_wheel(server, "second")
        other.faults.append(fake.status("/simple/*", 502, times=None))
        with world(tmp_path, server, other) as run:
            assert run.files()
            assert run.files("second")
            assert len(run.reporter.notes) == 1
            assert "index1.example" in run.reporter.notes[0]

    def test_a_login_page_is_no_listing(self, server: FakeServer, tmp_path: Path) -> None:
        server.faults.append(fake.portal("/simple/demo/"))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            run.index.listing(name("demo"))
        assert "HotelWifi" in str(caught.value)

    def test_a_page_of_another_major_version_is_refused(self, server: FakeServer, tmp_path: Path) -> None:
        body = b'{"meta": {"api-version": "2.0"}, "name": "demo", "files": []}'
        server.pages["/simple/demo/"] = fake.Body(data=body, content_type=fake.JSON)
        with world(tmp_path, server) as run, pytest.raises(IndexFault):
            run.index.listing(name("demo"))

    def test_an_index_behind_a_login_names_its_host(self, server: FakeServer, tmp_path: Path) -> None:
        server.auth = ("someone", "secret")
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            run.index.listing(name("demo"))
        assert caught.value.code == "needs-credentials"
        assert len(server.requests) == 1


class TestCachedListings:
    def test_a_page_is_revalidated_in_the_next_run(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        for _ in range(2):
            with world(tmp_path, server) as run:
                run.one()
        assert "if-none-match" not in server.requests[0].headers
        assert server.requests[1].headers["if-none-match"].startswith('"')
        add_wheel(server, version="2.0")
        with world(tmp_path, server) as run:
            assert len(run.files()) == 2

    def test_a_date_will_do_where_there_is_no_tag(self, server: FakeServer, tmp_path: Path) -> None:
        server.etags, server.last_modified = False, "Sat, 21 Nov 2026 21:30:00 GMT"
        add_wheel(server)
        for _ in range(2):
            with world(tmp_path, server) as run:
                run.one()
        assert server.requests[1].headers["if-modified-since"] == server.last_modified

    def test_a_page_without_validators_is_fetched_anew(self, server: FakeServer, tmp_path: Path) -> None:
        server.etags = False
        add_wheel(server)
        for _ in range(2):
            with world(tmp_path, server) as run:
                run.one()
        assert "if-none-match" not in server.requests[1].headers

    def test_links_of_a_kept_page_are_seen_from_where_it_was_redirected_to(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        served = add_wheel(server, index="moved")
        server.faults.append(fake.redirect("/simple/demo/", "/deep/moved/demo/"))
        server.pages["/deep/moved/demo/"] = fake.Body(data=server.html_page("demo", [served]), content_type="text/html")
        urls = []
        for _ in range(2):
            with world(tmp_path, server) as run:
                urls.append(run.one().url)
        assert urls == [f"{server.url}/deep/files/{served.filename}"] * 2


class TestFolders:
    def test_a_folder_of_files_comes_first_and_its_files_are_hashed(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server, version="1.0", size=10)
        add_wheel(server, version="2.0")
        folder = tmp_path / "wheels"
        folder.mkdir()
        filename, data = make_wheel("demo", "1.0")
        (folder / filename).write_bytes(data)
        (folder / "notes.txt").write_text("not a wheel")
        links = Source(name="wheels", url=folder.as_uri(), kind="find-links")
        with World(tmp_path / "cache", settings_for(links, index_source(server))) as run:
            listing = run.index.listing(name("demo"))
            assert listing is not None
            assert [(file.index, str(file.name.version)) for file in listing.files] == [
                ("wheels", "1.0"),
                ("index.example", "2.0"),
            ]
            assert listing.files[0].sha256 == hashlib.sha256(data).hexdigest()
            assert run.index.core_metadata(listing.files[0]).project == "demo"

    def test_a_folder_alone_is_enough(self, tmp_path: Path) -> None:
        filename, data = make_wheel("demo", "1.0", requires_dist=["click"])
        (tmp_path / "wheels").mkdir()
        (tmp_path / "wheels" / filename).write_bytes(data)
        links = Source(name="wheels", url=(tmp_path / "wheels").as_uri(), kind="find-links")
        with World(tmp_path / "cache", settings_for(links)) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
            assert run.index.listing(name("other")) is None

    def test_a_page_of_links_is_read(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server)
        page = (
            f'<html><title>Links</title><a href="files/{served.filename}#sha256={served.hashes["sha256"]}">x</a></html>'
        )
        server.pages["/all.html"] = fake.Body(data=page.encode(), content_type="text/html")
        links = Source(name="links", url=f"{server.url}/all.html", kind="find-links")
        with World(tmp_path / "cache", settings_for(links)) as run:
            assert run.one().url == server.file_url(served.filename)
        assert server.paths() == ["/all.html"]

    def test_a_find_links_place_that_is_not_there_is_an_error(self, server: FakeServer, tmp_path: Path) -> None:
        for url in (f"{server.url}/none.html", (tmp_path / "none").as_uri()):
            links = Source(name="links", url=url, kind="find-links")
            with World(tmp_path / "cache", settings_for(links)) as run, pytest.raises(IndexFault) as caught:
                run.index.listing(name("demo"))
            assert caught.value.code == "no-find-links"

    @pytest.mark.parametrize("form", ["json", "html"])
    def test_a_tree_of_files_is_an_index(self, tmp_path: Path, form: str) -> None:
        filename, data = make_wheel("demo", "1.0", requires_dist=["click"])
        tree = tmp_path / "tree"
        (tree / "files").mkdir(parents=True)
        (tree / "files" / filename).write_bytes(data)
        (tree / "simple" / "demo").mkdir(parents=True)
        scribe = FakeServer()
        served = scribe.add(filename, data)
        page = scribe.json_page("demo", [served]) if form == "json" else scribe.html_page("demo", [served])
        (tree / "simple" / "demo" / f"index.{form}").write_bytes(page)
        source = Source(name="tree", url=(tree / "simple").as_uri(), kind="index")
        with World(tmp_path / "cache", settings_for(source)) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
            assert run.index.listing(name("other")) is None
        scribe._listener.server_close()


class TestMetadata:
    def test_the_advertised_sibling_is_one_request_and_kept(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, requires_dist=("click>=8",), size=BIG)
        for _ in range(2):
            with world(tmp_path, server) as run:
                found = run.index.core_metadata(run.one())
                assert run.index.core_metadata(run.one()) is found
                assert found.requires_dist == ("click>=8",)
                assert found.sha256 == hashlib.sha256(served.sibling() or b"").hexdigest()
        assert server.paths("/files/*") == [f"/files/{served.filename}.metadata"]

    @pytest.mark.parametrize("form", ["json", "html"])
    def test_a_sibling_without_a_hash_will_do(self, server: FakeServer, tmp_path: Path, form: str) -> None:
        server.format = form
        add_wheel(server, requires_dist=("click",), metadata_hash=False, size=BIG)
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        assert len(server.paths("/files/*")) == 1

    def test_a_sibling_that_does_not_hash_as_advertised_is_an_integrity_fault(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(server, metadata_hash="0" * 64)
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            run.index.core_metadata(run.one())
        assert caught.value.code == "metadata-hash"

    def test_a_sibling_that_was_wrong_once_is_fetched_again_past_caches(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        add_wheel(server, requires_dist=("click",))
        server.faults.append(fake.wrong_bytes("*.metadata", b"Name: evil"))
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        assert server.requests[-1].headers["cache-control"] == "no-cache"

    def test_a_sibling_of_something_else_is_an_integrity_fault(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server, metadata=b"Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        with world(tmp_path, server) as run, pytest.raises(IntegrityFault) as caught:
            run.index.core_metadata(run.one())
        assert caught.value.code == "metadata-mismatch"

    def test_a_sibling_that_was_lost_is_read_from_the_wheel(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server, requires_dist=("click",), size=BIG)
        server.faults.append(fake.status("*.metadata", 404, times=None))
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)

    def test_an_endless_sibling_is_given_up(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        server.faults.append(fake.endless("*.metadata"))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            run.index.core_metadata(run.one())
        assert caught.value.code == "too-large"

    def test_one_range_is_enough_where_nothing_is_advertised(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, requires_dist=("click",), size=BIG, metadata=False)
        for _ in range(2):
            with world(tmp_path, server) as run:
                assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        asked = [seen for seen in server.requests if seen.path.startswith("/files/")]
        assert [(seen.path, seen.headers["range"]) for seen in asked] == [
            (f"/files/{served.filename}", f"bytes=-{TAIL_SIZE}")
        ]

    def test_metadata_that_lies_before_the_tail_is_a_second_range(self, server: FakeServer, tmp_path: Path) -> None:
        filename, data = make_wheel(
            "demo",
            "1.0",
            requires_dist=["click"],
            metadata_extra="".join(
                f"Keywords: {hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()}\n" for n in range(3000)
            ),
        )
        assert len(data) > TAIL_SIZE
        server.add(filename, data, metadata=False)
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        assert len([seen for seen in server.requests if "range" in seen.headers]) == 2

    def test_a_server_without_ranges_gives_the_whole_file_which_is_kept(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        server.ranges = False
        served = add_wheel(server, requires_dist=("click",), size=BIG, metadata=False)
        second = add_wheel(server, "second", size=BIG, metadata=False)
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)
            run.index.core_metadata(run.one("second"))
            for each in (served, second):
                assert run.cache.file(sha256_of_hex(hashlib.sha256(each.data).hexdigest())) is not None
        asked = [(seen.path, "range" in seen.headers) for seen in server.requests if seen.path.startswith("/files/")]
        # That the server knows no ranges is found out once.
        assert asked == [
            (f"/files/{served.filename}", True),
            (f"/files/{served.filename}", False),
            (f"/files/{second.filename}", False),
        ]

    @pytest.mark.parametrize("code", [416, 501])
    def test_a_range_that_is_refused_makes_it_the_whole_file(
        self, server: FakeServer, tmp_path: Path, code: int
    ) -> None:
        add_wheel(server, requires_dist=("click",), size=BIG, metadata=False)
        server.faults.append(fake.status("/files/*", code))
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)

    def test_a_small_wheel_is_fetched_whole_at_once(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, requires_dist=("click",), metadata=False)
        for _ in range(2):
            with world(tmp_path, server) as run:
                assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        assert server.paths("/files/*") == [f"/files/{served.filename}"]

    def test_a_file_without_any_hash_is_fetched_and_hashed(self, server: FakeServer, tmp_path: Path) -> None:
        served = add_wheel(server, hash=False, metadata=False, size=10)
        with world(tmp_path, server) as run:
            file = run.one()
            assert file.sha256 is None
            assert run.index.core_metadata(file).project == "demo"
            assert run.index.downloads.whole(file).sha256 == hashlib.sha256(served.data).hexdigest()
        assert len(server.paths("/files/*")) == 1

    def test_a_listed_file_that_is_gone_is_told(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server, metadata=False, size=BIG)
        server.faults.append(fake.status("/files/*", 404, times=None))
        with world(tmp_path, server) as run, pytest.raises(IndexFault) as caught:
            run.index.core_metadata(run.one())
        assert caught.value.code == "gone"
        assert "listed but gone" in str(caught.value)

    def test_an_sdist_is_fetched_whole_and_read(self, server: FakeServer, tmp_path: Path) -> None:
        server.add(*make_sdist("demo", "1.0", requires_dist=["click"]))
        for _ in range(2):
            with world(tmp_path, server) as run:
                assert run.index.core_metadata(run.one()).requires_dist == ("click",)
        assert len(server.paths("/files/*")) == 1

    def test_an_sdist_s_advertised_metadata_counts_where_its_texts_leave_something_open(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        said = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: click\n"
        server.add(*make_sdist("demo", "1.0", dynamic=["Requires-Dist"]), metadata=said)
        with world(tmp_path, server) as run:
            metadata = run.index.core_metadata(run.one())
        assert metadata.requires_dist == ("click",)
        assert metadata.build_requires == ()

    def test_an_sdist_that_must_be_built_is_a_resolution_fault(self, server: FakeServer, tmp_path: Path) -> None:
        server.add(*make_sdist("demo", "1.0", metadata_version="2.1"))
        with world(tmp_path, server) as run, pytest.raises(ResolutionFault) as caught:
            run.index.core_metadata(run.one())
        assert caught.value.code == "metadata-not-static"

    def test_no_index_can_speak_for_the_files_of_another(
        self, server: FakeServer, other: FakeServer, tmp_path: Path
    ) -> None:
        """The cache keeps what was merely claimed under the address it came from."""
        served = add_wheel(server, requires_dist=("click",), size=BIG, metadata=False)
        lie = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nRequires-Dist: evil\n"
        other.add(served.filename, served.data, metadata=lie)
        with world(tmp_path, other) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("evil",)
        with world(tmp_path, server) as run:
            assert run.index.core_metadata(run.one()).requires_dist == ("click",)

    def test_hints_do_the_work_ahead(self, server: FakeServer, tmp_path: Path) -> None:
        add_wheel(server)
        with world(tmp_path, server) as run:
            run.index.expect_metadata([run.one()])
            run.index.expect_metadata([run.one()])
            assert run.index.core_metadata(run.one()).project == "demo"
        assert len(server.paths("*.metadata")) == 1
