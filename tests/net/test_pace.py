"""When connections are added; what is left between segments. Pure: no clock, no network."""

from __future__ import annotations

import random

import pytest

from pypimirror.net.pace import Pace, Rules
from pypimirror.net.places import Places
from pypimirror.net.segments import Segments

MB = 1_000_000


def run(line: float, each: float, *, seconds: float, most: int = 8, left: int = 10_000 * MB) -> list[int]:
    """How many connections there are, by and by, where each gets *each* MB/s and all of them *line*."""
    pace, came, found = Pace(0.0), 0, [1]
    for tick in range(int(seconds * 20)):
        came += int(min(line, each * pace.wanted) * MB / 20)
        if pace.look(tick / 20, came, left=left - came, most=most) != found[-1]:
            found.append(pace.wanted)
    return found


def test_connections_are_added_while_each_brings_more() -> None:
    assert run(1000, 15, seconds=7) == [1, 2, 4, 6]


def test_a_full_line_is_not_split_in_vain() -> None:
    assert run(15, 15, seconds=7) == [1, 2, 1]


def test_what_brought_nothing_is_tried_again_later() -> None:
    assert run(15, 15, seconds=15) == [1, 2, 1, 2, 1]


def test_a_line_that_is_full_later_keeps_what_paid() -> None:
    assert run(32, 15, seconds=7) == [1, 2, 4, 2]


def test_no_more_are_wanted_than_could_be_had() -> None:
    assert run(1000, 15, seconds=7, most=4) == [1, 2, 4]
    assert run(1000, 15, seconds=7, most=1) == [1]


def test_what_is_nearly_here_is_left_alone() -> None:
    assert run(1000, 100, seconds=3, left=250 * MB) == [1]


def test_what_was_thrown_away_is_no_rate() -> None:
    pace = Pace(0.0, Rules(settle=0.0, look=1.0))
    for moment, came in ((0.0, 50), (0.5, 10), (1.5, 20)):
        pace.look(moment, came, left=1, most=1)
    assert pace.rate == 10


def test_side_connections_take_free_places_only_and_transfers_take_any() -> None:
    places = Places(2)
    with places.taken():
        assert places.take()
        assert not places.take()
        with places.taken():
            assert places.free == -1
        places.give()
        assert places.take()
    assert places.free == 1


def test_gaps_begin_behind_the_first_segment() -> None:
    segments = Segments(100)
    assert segments.gap(10) == (10, 100)
    assert segments.gap(100) == (100, 100)
    segments.add(40, 50)
    segments.add(20, 30)
    assert segments.first is not None
    assert (segments.first.start, segments.gap(5)) == (20, (30, 40))
    segments.add(30, 40)
    assert segments.gap(5) == (50, 100)


@pytest.mark.parametrize("seed", range(20))
def test_segments_never_overlap_and_come_to_the_whole(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same each time
    segments, joined, floor = Segments(1000), 0, chance.randrange(500)
    made = []
    while True:
        start, limit = segments.gap(max(joined, floor))
        if start < limit and chance.random() < 0.7:
            made.append(segments.add(start, min(start + chance.randint(1, 90), limit)))
        elif made and chance.random() < 0.3:  # one breaks off, and its rest is nobody's again
            segment = chance.choice(made)
            segment.end = chance.randint(segment.start + 1, segment.end)
        first = segments.first
        if first is not None and (chance.random() < 0.5 or start >= limit):
            assert first.start >= joined
            joined = first.end  # what lies before it comes over the transfer's own connection
            segments.remove(first)
            made.remove(first)
        if first is None and start >= limit:
            break
    assert joined == 1000 or segments.gap(joined)[0] == 1000
