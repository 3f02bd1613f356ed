"""FastLocalFs: the NodeManagers' local file system, one Java class, and how its jar is made from its source."""

from __future__ import annotations

import io
import subprocess
import tempfile
import zipfile
from pathlib import Path

JAR = Path(__file__).with_name("fastlocalfs.jar")
SOURCE = Path(__file__).with_name("FastLocalFs.java")
CLASS = "rayyarn.mini.FastLocalFs"
_RELEASE = "17"  # what Hadoop 3.5's own classes need
_LIMIT = 120.0


def build(javac: str, hadoop_jars: Path) -> bytes:
    """The jar made from the source: the same bytes from the same compiler, whenever and wherever it is made.

    Entries are sorted, uncompressed, of one fixed date, with the source among them. To renew the jar in the tree:
    ``python -c "from rayyarn.mini import fastlocalfs as f, jars; f.JAR.write_bytes(f.build('javac', jars.folder()))"``.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [javac, "--release", _RELEASE, "-g:none", "-proc:none", "-nowarn", "-encoding", "UTF-8"]
        command += ["-cp", f"{hadoop_jars}/*", "-d", folder, str(SOURCE)]
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT)
        entries = {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.class")}
    entries["META-INF/MANIFEST.MF"] = b"Manifest-Version: 1.0\r\n\r\n"
    entries[f"rayyarn/mini/{SOURCE.name}"] = SOURCE.read_bytes()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as jar:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            jar.writestr(entry, entries[name])
    return data.getvalue()
