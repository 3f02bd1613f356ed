"""A gzip stream made of blocks: any reader takes it, and a failing sink or producer ends it at once."""

import gzip
import io
import random
import struct
import sys
import threading
import zlib

import pytest

from rayyarn.gzip_stream import BLOCK, GzipStream

NOISE = random.Random(1).randbytes(2 * BLOCK + 17)
TEXT = b"".join(b"line %d of a text\n" % number for number in range(150_000))


def written(*pieces):
    sink = io.BytesIO()
    with GzipStream(sink) as stream:
        for piece in pieces:
            stream.write(piece)
    return sink.getvalue()


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"",),
        (b"one",),
        (TEXT,),
        (NOISE,),
        (TEXT, NOISE, b"x", TEXT),
        tuple(TEXT[at : at + 1000] for at in range(0, len(TEXT), 1000)),
    ],
)
@pytest.mark.parametrize("isal", [True, False])
def test_every_reader_takes_it(pieces, isal, monkeypatch):
    if not isal:
        monkeypatch.setitem(sys.modules, "isal", None)
    made = written(*pieces)
    assert gzip.decompress(made) == b"".join(pieces)
    one = zlib.decompressobj(16 + zlib.MAX_WBITS)  # reads one member and no more
    assert one.decompress(made) == b"".join(pieces)
    assert one.eof
    assert one.unused_data == b""
    assert struct.unpack("<I", made[-4:]) == (sum(map(len, pieces)),)


def test_what_does_not_shrink_is_stored():
    made = written(NOISE)
    assert len(NOISE) < len(made) < len(NOISE) + 1000
    assert NOISE[5:1000] in made
    assert len(written(TEXT)) < len(TEXT) / 4


def test_later_pieces_keep_their_place():
    sink, open_gate = io.BytesIO(), threading.Event()

    def late():
        open_gate.wait(10)
        return b"second"

    with GzipStream(sink) as stream:
        stream.write(b"first")
        stream.write_later(late)
        stream.write(b"third")
        open_gate.set()
    assert gzip.decompress(sink.getvalue()) == b"firstsecondthird"


def test_a_piece_that_cannot_be_loaded():
    def gone():
        raise OSError(5, "gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="gone"), GzipStream(io.BytesIO()) as stream:
        stream.write_later(gone)
        for _ in range(50):
            stream.write(NOISE)
    assert threading.active_count() == before


def test_an_exception_inside_abandons_the_stream():
    sink, before = io.BytesIO(), threading.active_count()
    with pytest.raises(ValueError, match="mine"), GzipStream(sink) as stream:
        stream.write(NOISE)
        raise ValueError("mine")
    with pytest.raises(EOFError):
        gzip.decompress(sink.getvalue())
    assert threading.active_count() == before


def test_a_sink_that_fails_ends_it_and_never_hangs():
    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(28, "No space left on device")

    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"), GzipStream(Full()) as stream:
        for _ in range(100):
            stream.write(NOISE)
    assert threading.active_count() == before
