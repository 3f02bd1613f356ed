"""A conda prefix in miniature: real package records, a package cache, pip's records. No Python runs."""

import json
from pathlib import Path

PLACEHOLDER = "/opt/" + "_placeh0ld" * 10
DEFAULT = ("aiohttp>=3.7", "aiohttp_cors", "colorful", "requests", "opencensus", "py-spy", "smart_open", "virtualenv")


class Prefix:
    """``path`` is a conda prefix with Python 3.11.7; packages are added with ``conda`` and ``pip``."""

    def __init__(self, folder: Path, version: str = "3.11.7") -> None:
        self.path = folder / "env"
        self._cache = folder / "pkgs"
        self.site = self.path / "lib/python3.11/site-packages"
        (self.path / "conda-meta").mkdir(parents=True)
        self.site.mkdir(parents=True)
        (self.path / "conda-meta" / "history").write_text("==> made <==\n")
        self.conda("python", version, {"bin/python3.11": "#!ELF", "lib/python3.11/os.py": "import sys\n"})
        (self.path / "bin/python").symlink_to("python3.11")

    def conda(self, name: str, version: str, files: dict[str, str], held: tuple[str, ...] = ()) -> None:
        """Install as conda does: unpacked in the cache, linked into the prefix, placeholders filled in."""
        source = self._cache / f"{name}-{version}-h0_0"
        paths = []
        for inner, text in files.items():
            cached, here = source / inner, self.path / inner
            cached.parent.mkdir(parents=True, exist_ok=True)
            here.parent.mkdir(parents=True, exist_ok=True)
            cached.write_text(text)
            if inner in held:
                here.write_text(text.replace(PLACEHOLDER, str(self.path)))
            else:
                here.hardlink_to(cached)
            extra = {"file_mode": "text", "prefix_placeholder": PLACEHOLDER} if inner in held else {}
            paths.append({"_path": inner, "path_type": "hardlink", **extra})
        (source / "info").mkdir()
        (source / "info" / "paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
        record = {
            "name": name, "version": version, "files": list(files), "url": "",
            "link": {"source": str(source), "type": 1},
        }  # fmt: skip
        (self.path / "conda-meta" / f"{name}-{version}-h0_0.json").write_text(json.dumps(record))

    def pip(self, name: str, version: str, files: dict[str, str] | None = None, metadata: str = "") -> Path:
        """Install as pip does; returns the dist-info folder."""
        info = self.site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{metadata}")
        (info / "INSTALLER").write_text("pip\n")
        for inner, text in (files or {f"{name}/__init__.py": ""}).items():
            target = self.site / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # pip removes before it writes: cached copies stay as they are
            target.write_text(text)
        (info / "RECORD").write_text("".join(f"{inner},,\n" for inner in files or {}))
        return info

    def ray(self, version: str = "2.60.0", without: tuple[str, ...] = ()) -> None:
        """Ray with all of [default] but ``without``."""
        needs = "".join(f'Requires-Dist: {one}; extra == "default"\n' for one in DEFAULT)
        self.pip("ray", version, metadata=needs)
        for one in DEFAULT:
            name = one.split(">")[0]
            if name not in without:
                self.pip(name.replace("-", "_"), "1.0")

    def editable(self, name: str, files: dict[str, str]) -> None:
        """An editable install by the files that its build backend leaves in site-packages."""
        info = self.pip(name, "1.0", files)
        (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}')
