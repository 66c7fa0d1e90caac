from hypothesis import given
from hypothesis import strategies as st

from sciml.stream.intervals import Intervals

NUMBERS = st.lists(st.integers(0, 40), max_size=60)


@given(NUMBERS, NUMBERS, st.integers(0, 40))
def test_behaves_like_a_set(first, second, number):
    a, b = Intervals(), Intervals()
    for n in first:
        a.add(n)
    for n in second:
        b.add_range(n, n + 3)
    sets = set(first), {n + i for n in second for i in range(3)}
    assert list(a) == sorted(sets[0]) and len(b) == len(sets[1])
    assert (number in a) == (number in sets[0])
    assert list(a.minus(b)) == sorted(sets[0] - sets[1])
    assert list(a.without(number)) == sorted(sets[0] - {number})
    union = a.copy()
    union.update(b)
    assert list(union) == sorted(sets[0] | sets[1])
    starts = [start for start, _ in union.ranges()]
    stops = [stop for _, stop in union.ranges()]
    assert all(stop < start for stop, start in zip(stops[:-1], starts[1:], strict=True))
    assert Intervals.from_wire([list(r) for r in union.ranges()]) == union


def test_consecutive_numbers_take_one_range():
    s = Intervals()
    for n in range(10_000):
        s.add(n)
    assert s.ranges() == [(0, 10_000)] and s.leading() == 10_000


def test_leading_stops_at_the_first_gap():
    assert Intervals([(0, 4), (6, 9)]).leading() == 4
    assert Intervals([(1, 4)]).leading() == 0
