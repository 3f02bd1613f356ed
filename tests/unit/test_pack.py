"""What goes into an archive: conda-pack's choice, with what really lies in the prefix."""

import io
import os
import sys
import tarfile
import time

import pytest
from prefixes import PLACEHOLDER, Prefix

from rayyarn import environment, pack
from rayyarn.errors import EnvironmentUnusable

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYYARN_HOME", str(tmp_path / "home"))
    made = Prefix(tmp_path)
    made.ray()
    return made


def packed(prefix):
    """Text by name of all that is in the prefix's archive; links as ``-> target``."""
    return {
        name: f"-> {one.linkname}" if one.issym() else data.decode()
        for name, (one, data) in members(prefix).items() if one.isfile() or one.issym()
    }  # fmt: skip


def members(prefix):
    """(header, bytes) by name."""
    sink = io.BytesIO()
    pack.pack(environment.inspect(prefix.path), sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue()), mode="r:gz") as tar:
        return {one.name: (one, tar.extractfile(one).read() if one.isfile() else b"") for one in tar}


def test_the_archive_holds_the_environment(prefix):
    found = packed(prefix)
    assert found["bin/python"] == "-> python3.11"
    assert found["bin/python3.11"] == "#!ELF"
    assert f"{SITE}/ray/__init__.py" in found
    assert "conda-meta/python-3.11.7-h0_0.json" in found
    assert "bin/conda-unpack" in found  # whoever unpacks it elsewhere can fill prefixes in


def test_progress_ends_at_the_total(prefix):
    seen = []
    pack.pack(environment.inspect(prefix.path), io.BytesIO(), lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_what_pip_overwrote_comes_from_the_prefix(prefix):
    prefix.conda("numpy", "1.0", {f"{SITE}/numpy/__init__.py": "old", f"{SITE}/numpy/gone.py": "old"})
    (prefix.site / "numpy" / "gone.py").unlink()
    prefix.pip("numpy", "2.0", {"numpy/__init__.py": "new", "numpy/added.py": "new"})
    found = packed(prefix)
    assert found[f"{SITE}/numpy/__init__.py"] == "new"
    assert found[f"{SITE}/numpy/added.py"] == "new"
    assert f"{SITE}/numpy/gone.py" not in found


def test_what_a_hand_edited_comes_from_the_prefix(prefix):
    prefix.conda("tool", "1.0", {f"{SITE}/tool.py": "before"})
    (prefix.site / "tool.py").unlink()  # as an editor does that writes a new file
    (prefix.site / "tool.py").write_text("after")
    assert packed(prefix)[f"{SITE}/tool.py"] == "after"


def test_files_with_the_prefix_in_them(prefix):
    shebang = f"#!{PLACEHOLDER}/bin/python\n"
    files = {"bin/kept": shebang, "bin/edited": shebang, "share/kept.conf": f"root={PLACEHOLDER}/share\n"}
    prefix.conda("tool", "1.0", files, held=tuple(files))
    (prefix.path / "bin/edited").write_text(f"#!{prefix.path}/bin/python\nprint('by hand')\n")
    found = packed(prefix)
    assert found["bin/kept"] == "#!/usr/bin/env python\n"
    assert found["bin/edited"] == "#!/usr/bin/env python\nprint('by hand')\n"
    assert found["share/kept.conf"] == f"root={PLACEHOLDER}/share\n"  # for conda-unpack, which knows the placeholder


def test_files_of_editable_installs_stay_behind(prefix, tmp_path):
    (tmp_path / "src").mkdir()
    prefix.editable("mine", {"__editable__.mine-1.0.pth": f"{tmp_path / 'src'}\n"})
    found = packed(prefix)
    assert f"{SITE}/__editable__.mine-1.0.pth" not in found
    assert f"{SITE}/mine-1.0.dist-info/METADATA" in found  # importlib.metadata knows it all the same


def test_without_isal_the_format_is_the_same(prefix, monkeypatch):
    fast = packed(prefix)
    monkeypatch.setitem(sys.modules, "isal", None)
    assert packed(prefix) == fast


def test_modes_times_and_links_are_kept(prefix):
    long_name = "/".join(["folder" * 5] * 6) + "/\u00e4.py"
    prefix.conda("tool", "1.0", {f"{SITE}/tool.py": "tool", f"{SITE}/second.py": "tool"})
    tool, second = prefix.site / "tool.py", prefix.site / "second.py"
    second.unlink()
    tool.chmod(0o751)
    os.utime(tool, (1_600_000_000.9, 1_600_000_000.9))
    second.hardlink_to(tool)
    (prefix.site / long_name).parent.mkdir(parents=True)
    (prefix.site / long_name).write_text("long")
    (prefix.site / "broken").symlink_to("nowhere")
    (prefix.path / "empty").mkdir()
    found = members(prefix)
    one, other = sorted((found[f"{SITE}/tool.py"], found[f"{SITE}/second.py"]), key=lambda pair: pair[0].islnk())
    assert (one[0].mode, one[0].mtime, one[0].uid, one[1]) == (0o751, 1_600_000_000, os.getuid(), b"tool")
    assert other[0].islnk() and other[0].linkname == one[0].name
    assert found[f"{SITE}/{long_name}"][1] == b"long"
    assert found[f"{SITE}/broken"][0].linkname == "nowhere"
    assert found["empty"][0].isdir()


def test_a_header_is_what_tarfile_makes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1234)
    status = path.stat()
    with tarfile.open(fileobj=io.BytesIO(), mode="w", format=tarfile.GNU_FORMAT) as tar:
        info = tar.gettarinfo(path, "lib/file")
    info.mtime = int(info.mtime)
    assert pack._regular("lib/file", 1234, status, int(status.st_mtime)) == info.tobuf(tarfile.GNU_FORMAT)


def test_large_files_are_read_in_pieces(prefix):
    blob = bytes(range(256)) * 9000 + b"end"
    text = b"0123456789abcde\n" * 150_000 + f"{prefix.path}/bin".encode()
    (prefix.site / "blob.bin").write_bytes(blob)
    (prefix.site / "text.txt").write_bytes(text)
    found = members(prefix)
    assert found[f"{SITE}/blob.bin"][1] == blob
    assert found[f"{SITE}/text.txt"][1] == text


def test_a_large_file_that_shrinks_meanwhile(prefix, monkeypatch):
    blob = prefix.site / "blob.bin"
    blob.write_bytes(b"\xff" * 3_000_000)
    read = pack._read

    def shrinking(path, size, start=0, **more):
        if path == str(blob) and start == 0 and more:
            os.truncate(blob, 2_000_000)
        return read(path, size, start, **more)

    monkeypatch.setattr(pack, "_read", shrinking)
    with pytest.raises(OSError, match="became shorter"):
        pack.pack(environment.inspect(prefix.path), io.BytesIO())


def test_conda_unpack_knows_texts_with_the_prefix_only(prefix):
    (prefix.site / "plain.py").write_text("plain")
    (prefix.site / "mine.cfg").write_text(f"home = {prefix.path}\n")
    (prefix.site / "mine.bin").write_bytes(b"\xff" + str(prefix.path).encode())
    script = members(prefix)["bin/conda-unpack"][1].decode()
    assert f"{SITE}/mine.cfg" in script
    assert f"{SITE}/plain.py" not in script
    assert f"{SITE}/mine.bin" not in script


def test_the_same_prefix_gives_the_same_bytes(prefix):
    one, other = io.BytesIO(), io.BytesIO()
    for sink in (one, other):
        pack.pack(environment.inspect(prefix.path), sink)
        time.sleep(1.1)
    assert one.getvalue() == other.getvalue()


def test_an_error_of_the_sink_passes_through(prefix):
    class Full(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            raise OSError(28, "No space left on device")

    (prefix.site / "large.bin").write_bytes(bytes(range(256)) * 20000)
    with pytest.raises(OSError, match="No space left"):
        pack.pack(environment.inspect(prefix.path), Full())


def test_a_file_that_nobody_may_read(prefix, monkeypatch):
    from conda_pack.core import Packer

    def refuse(self, file):
        raise PermissionError(13, "Permission denied", file.source)

    monkeypatch.setattr(Packer, "add", refuse)  # root may read everything, so it is played
    with pytest.raises(EnvironmentUnusable, match="cannot be read: Permission denied"):
        pack.pack(environment.inspect(prefix.path), io.BytesIO())
