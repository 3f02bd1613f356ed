"""Which clusters there are: YARN itself is the register, by application tags.

YARN does not keep names unique: of two live applications with one name the lower id is the cluster, and whoever
submitted the other one ends it. Tags are lower case because YARN folds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayyarn.yarn_report import LIVE, App, app_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rayyarn.rm import ResourceManager

TAG = "rayyarn"
STOPPED = "stopped by `rayyarn down`"  # the diagnostics of a cluster that was taken down
_SPEC = "rayyarn.spec-"
_ENVIRONMENT = "rayyarn.env-"
_WORKERS = "rayyarn.workers-"
_BESIDE = "rayyarn.beside-"
KEPT = "rayyarn.kept-beside"  # the number of its workers changes: that of the tag is the one at its `up`


def tags(name: str, digest: str, fingerprint: str, workers: int) -> list[str]:
    """The tags of a cluster's application."""
    return [TAG, f"{TAG}-{name}", f"{_SPEC}{digest}", f"{_ENVIRONMENT}{fingerprint}", f"{_WORKERS}{workers}"]


def beside_tag(app_id: str) -> str:
    """The tag of a cluster whose workers were placed beside that Spark application."""
    return f"{_BESIDE}{app_id}"


def beside_of(app: App) -> str | None:
    """The Spark application that its workers were placed beside."""
    return app.tag(_BESIDE)


def launch_tag(generation: str) -> str:
    """The tag by which one `up` finds what it submitted, also before it has heard the application's id."""
    return f"{TAG}.launch-{generation}"


def name_of(app: App) -> str:
    """The cluster's name."""
    return app.name.removeprefix(f"{TAG}-")


def digest_of(app: App) -> str | None:
    """The digest of the spec it was brought up with."""
    return app.tag(_SPEC)


def fingerprint_of(app: App) -> str | None:
    """The fingerprint of its environment."""
    return app.tag(_ENVIRONMENT)


def workers_of(app: App) -> int:
    """How many workers were asked for."""
    return int(app.tag(_WORKERS) or 0)


def find(rm: ResourceManager, name: str) -> App | None:
    """The live cluster ``name`` of this user."""
    return next(iter(candidates(rm, name)), None)


def candidates(rm: ResourceManager, name: str) -> list[App]:
    """All live applications that claim ``name``; the first is the cluster."""
    return [app for app in rm.apps(tag=f"{TAG}-{name}") if app.name == f"{TAG}-{name}"]


def clusters(rm: ResourceManager, states: Iterable[str] = LIVE) -> list[App]:
    """All clusters of this user in ``states``, one a name, oldest first."""
    found: dict[str, App] = {}
    for app in sorted(rm.apps(tag=TAG, states=states), key=lambda app: app_order(app.id)):
        found.setdefault(app.name if app.live else app.id, app)
    return list(found.values())


def fingerprints_in_use(rm: ResourceManager) -> set[str]:
    """Fingerprints of all environments that a live cluster runs on."""
    return {fingerprint for app in rm.apps(tag=TAG) if (fingerprint := fingerprint_of(app))}
