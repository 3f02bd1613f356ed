"""The jars of the mini cluster: pinned Maven coordinates, fetched once per user and verified by checksum."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import ssl
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rayyarn.errors import MiniFailed, NotReady

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rayyarn.steps import Step

LIST = Path(__file__).with_name("jars.txt")
FETCH_LIMIT = 900.0  # 100 MB over a slow line
_TIMEOUT = 60  # of one answer, in seconds; jgo's own 10 s is short behind a company's proxy
_AT_ONCE = 8


@dataclass(frozen=True)
class Jar:
    """One jar as the list pins it."""

    sha256: str
    size: int
    group: str
    artifact: str
    version: str
    classifier: str = ""

    @property
    def name(self) -> str:
        """The file's name, as Maven gives it."""
        return f"{self.artifact}-{self.version}{'-' if self.classifier else ''}{self.classifier}.jar"


@cache
def pinned() -> tuple[Jar, ...]:
    """Every jar of the list, in its order."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return tuple(Jar(digest, int(size), *coordinates.split(":")) for digest, size, coordinates in lines)


def folder() -> Path:
    """Where the jars lie: named after the list, so that another list never meets them."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rayyarn" / "jars" / hashlib.sha256(LIST.read_bytes()).hexdigest()[:16]


def missing(where: Path) -> list[Jar]:
    """Jars that are not in ``where`` with the right size. The checksum was verified before a jar got there."""
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(where)} if where.is_dir() else {}
    return [jar for jar in pinned() if sizes.get(jar.name) != jar.size]


def ensure(step: Step) -> Path:
    """The folder with all jars, fetched from Maven Central (or the user's own mirror) when they are not there yet.

    Two commands at once fetch once: the second waits for the first. Raises MiniFailed when a jar cannot be had or has
    another content than the list says; nothing half-fetched stays.
    """
    where = folder()
    if not missing(where):
        return where
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        with _alone(where.parent, step):
            wanted = missing(where)
            if wanted:
                _fetch_into(where, wanted, step)
    except OSError as error:
        raise MiniFailed(
            f"the Hadoop jars cannot be kept in {where}: {error.strerror or error}",
            hint=f"df -h {where.parent}   # or set XDG_CACHE_HOME to a folder on another disk",
        ) from error
    return where


@contextlib.contextmanager
def _alone(parent: Path, step: Step) -> Iterator[None]:
    """Hold the one lock for fetching; the folder itself is the lock file, so that nothing is left over."""
    handle = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                step.update("another command is fetching them")
                if step.seconds > FETCH_LIMIT:
                    raise NotReady(f"waited {FETCH_LIMIT:.0f} s for another command to fetch the jars") from None
                time.sleep(0.2)
        for stale in parent.glob("fetch-*"):  # of a command that was killed: we hold the lock, nobody uses them
            shutil.rmtree(stale, ignore_errors=True)
        yield
    finally:
        os.close(handle)


def _fetch_into(where: Path, wanted: list[Jar], step: Step) -> None:
    temporary = Path(tempfile.mkdtemp(prefix="fetch-", dir=where.parent))
    try:
        ready = temporary / "ready"
        ready.mkdir(mode=0o755)
        _fetch_all(wanted, temporary / "repository", ready, step)
        if where.is_dir():  # somebody removed or damaged a few: mend, do not replace what a cluster may be using
            for jar in wanted:
                (ready / jar.name).replace(where / jar.name)
        else:
            ready.rename(where)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fetch_all(wanted: list[Jar], repository: Path, ready: Path, step: Step) -> None:
    total, done = sum(jar.size for jar in wanted), 0
    pool = ThreadPoolExecutor(_AT_ONCE)
    trusted = _trust_this_machine()
    try:
        jobs = {pool.submit(_fetch, jar, repository, ready): jar for jar in wanted}
        for job in as_completed(jobs):
            job.result()
            done += jobs[job].size
            step.update(f"{done >> 20} of {total >> 20} MiB")
    finally:
        pool.shutdown(cancel_futures=True)
        if trusted:
            os.environ.pop("REQUESTS_CA_BUNDLE", None)


def _trust_this_machine() -> bool:
    """Let jgo trust what this machine trusts, as pip does; True when that has to be taken back.

    requests brings a list of its own, which knows nothing of a company's certificate authority.
    """
    if "REQUESTS_CA_BUNDLE" in os.environ or "CURL_CA_BUNDLE" in os.environ:
        return False
    paths = ssl.get_default_verify_paths()
    known = paths.cafile or paths.capath
    if known:
        os.environ["REQUESTS_CA_BUNDLE"] = known
    return bool(known)


def _fetch(jar: Jar, repository: Path, ready: Path) -> None:
    own = _own_copy(jar)
    found = own or _download(jar, repository)
    digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != jar.sha256 and own:
        found = _download(jar, repository)
        digest = hashlib.sha256(found.read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise MiniFailed(
            f"{jar.name} is not the pinned one: its SHA-256 is {digest[:16]}..., the list says {jar.sha256[:16]}...",
            hint="cat ~/.config/jgo.conf   # a mirror or a proxy may have answered with something else",
        )
    shutil.copyfile(found, ready / jar.name)


def _own_copy(jar: Jar) -> Path | None:
    """The jar in the user's local Maven repository, which is read and never written to."""
    repository = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")
    path = repository.joinpath(*jar.group.split("."), jar.artifact, jar.version, jar.name)
    try:
        return path if path.stat().st_size == jar.size else None
    except OSError:
        return None


def _download(jar: Jar, repository: Path) -> Path:
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext
    except ImportError:
        raise MiniFailed(
            "the mini cluster fetches Hadoop with jgo, which is not installed", hint="pip install 'rayyarn[mini]'"
        ) from None
    own = GlobalSettings.load().repositories  # a company's mirror, from the [repositories] of ~/.config/jgo.conf
    context = MavenContext(repo_cache=repository, timeout=_TIMEOUT, **({"remote_repos": own} if own else {}))
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return Path(component.artifact(classifier=jar.classifier).resolve())
    except OSError as error:  # requests' exceptions are OSErrors too: tell a full disk from a dead line
        if error.errno is not None:
            raise
        raise _unreachable(jar, error) from error
    except RuntimeError as error:  # jgo: in none of the repositories
        raise _unreachable(jar, error) from error


def _unreachable(jar: Jar, error: Exception) -> MiniFailed:
    return MiniFailed(
        f"cannot fetch {jar.group}:{jar.artifact}:{jar.version} from Maven",
        log=str(error).splitlines()[0] if str(error) else type(error).__name__,
        hint="cat ~/.config/jgo.conf   # a mirror goes there: [repositories] and a line: central = https://...",
    )
