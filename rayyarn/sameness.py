"""Whether a cluster that runs is the one that a spec asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayyarn import files_here, register, shipment, spark_apps
from rayyarn.errors import ClusterDiffers
from rayyarn.spec import ClusterSpec

if TYPE_CHECKING:
    from rayyarn.connection import Connection
    from rayyarn.rm import ResourceManager
    from rayyarn.yarn_report import App


def refuse_other(
    spec: ClusterSpec, rm: ResourceManager, app: App, running: Connection | None, *, recheck: bool
) -> None:
    """Raise ClusterDiffers, which names all that differs, unless ``app`` is what ``spec`` asks for.

    ``running``: its connection document, as far as that can be had.
    """
    differences = []
    if register.digest_of(app) != spec.digest():
        known = ClusterSpec.from_dict(running.spec) if running else None
        mine = ClusterSpec.from_dict(spec.masked())
        differences = mine.differences(known) if known else ["its settings"]
        differences = differences or ["env-vars: other values"]
    elif running and (changed := files_here.changed(running)):
        differences = [f"files: {', '.join(changed)} changed since it came up"]
    beside = spark_apps.find(rm, spec.beside).id if spec.beside else None
    if beside != register.beside_of(app):  # also another run of the application of that name
        differences.append(f"beside: {beside or '-'} here, {register.beside_of(app) or '-'} running")
    _, here = shipment.identify(spec.environment, recheck=recheck)
    there = register.fingerprint_of(app)
    if here and there and here != there:
        differences.append(f"environment: {here.short} here, {there[:8]} running")
    if differences:
        raise ClusterDiffers(
            f"{spec.name} runs with other settings ({app.id}): {'; '.join(differences)}",
            hint=f"rayyarn down {spec.name}   # then up again, or take another name",
        )
