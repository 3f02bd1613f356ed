import pytest

from rayyarn.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4 GiB", 4 << 30),
        ("4g", 4 << 30),
        ("512MB", 512 << 20),
        ("1.5 GiB", 3 << 29),
        ("0", 0),
        (7, 7),
        ("10 k", 10240),
    ],
)
def test_a_size_is_read_as_people_write_it(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4 gigs", "-1", "GiB", "4 4", "1e9", "nan"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="4 GiB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10 min", 600), ("90s", 90), ("2h", 7200), ("2 hours", 7200), ("1d", 86400), (5, 5), ("off", 0), ("0.5 min", 30)],
)
def test_a_duration_is_read_as_people_write_it(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10 lightyears", "-3s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="10 min"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (4 << 30, "4 GiB"),
        (3 << 29, "1.5 GiB"),
        (200 << 20, "200 MiB"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1 << 50, "1024 TiB"),
    ],
)
def test_a_size_is_shown(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize("size", [1, 1 << 10, 7 << 20, 3 << 29, 5 << 40])
def test_a_shown_size_can_be_read_again(size):
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (59.9, "59s"), (720, "12m"), (11400, "3h10m"), (187200, "2d4h")]
)
def test_a_duration_is_shown(seconds, text):
    assert format_duration(seconds) == text
