"""The way to a running cluster: its application, its secrets, its master; from this edge or from another one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rayyarn import connection, filesystem, state, store, vault
from rayyarn.app_folder import AppFolder
from rayyarn.errors import ConnectionUnusable, RayYarnError
from rayyarn.skein_am import AppMaster
from rayyarn.vault import Vault

if TYPE_CHECKING:
    from rayyarn.connection import Connection
    from rayyarn.hadoop import Hadoop
    from rayyarn.state import ClusterStatus
    from rayyarn.yarn_report import App


def remembered(site: Hadoop, name: str, app_id: str) -> Connection | None:
    """The connection document that this edge has, when it is that application's."""
    try:
        found = connection.read(connection.local_path(site.yarn_id, name))
    except RayYarnError:
        return None
    return found if found.application["id"] == app_id else None


def fetched(site: Hadoop, name: str, app: App) -> Connection | None:
    """The connection document from the application's folder, kept on this edge with its secrets from now on.

    None while the cluster is not usable. Nobody may have waited for it (``up --no-wait``): then it is completed here.
    """
    folder = AppFolder(filesystem.open(site), site, app.id)
    path = connection.local_path(site.yarn_id, name)
    found = folder.connection(path)
    if found is not None and found.ray["address"] is None:
        found = _completed(site, name, app, folder, found)
    if found is None or folder.restore(site.yarn_id) is None:
        return None
    return found.write(path)


def _completed(site: Hadoop, name: str, app: App, folder: AppFolder, draft: Connection) -> Connection | None:
    if app.am is None:
        return None
    with master(site, name, app) as link:
        status = state.join(app, link.read(), now=time.time())
        if status.state not in ("ready", "degraded"):
            return None
        document = completed(draft, status, link)
        publish(document, folder, link)
    return document


def completed(draft: Connection, status: ClusterStatus, link: AppMaster) -> Connection:
    """The document of a cluster that is usable, with all that was not known when it was submitted."""
    return replace(
        draft,
        application={**draft.application, "am": link.address},
        ray={**draft.ray, "address": status.address, "dashboard": status.dashboard},
        nodes=[node.summary() for node in status.nodes],
    )


def publish(document: Connection, folder: AppFolder, link: AppMaster) -> None:
    """Make the document known to other edges and to the containers."""
    folder.save_connection(document)
    link.write(store.CONNECTION, document.to_json())


def vault_of(site: Hadoop, name: str, app_id: str) -> Vault | None:
    """The secrets of the application: this edge's, else those in the application's folder."""
    there = AppFolder(filesystem.open(site), site, app_id)
    known = remembered(site, name, app_id) or there.connection(None)
    if known is None:
        return None
    folder = vault.folder_of(site.yarn_id, name, known.generation)
    # Perhaps another command of this edge holds them just now: an `up` that still waits for the cluster.
    return Vault(folder, known.generation) if (folder / "key.pem").exists() else there.restore(site.yarn_id)


def master(site: Hadoop, name: str, app: App, *, limit: float = 5.0) -> AppMaster:
    """The application's master. Raises ConnectionUnusable when its secrets are nowhere to be found."""
    secrets = vault_of(site, name, app.id)
    if secrets is None:
        raise ConnectionUnusable(
            f"the secrets of {app.id} are neither on this machine nor in its folder on {site.default_fs}",
            hint=f"rayyarn down {name}   # YARN can still end it",
        )
    if app.am is None:
        raise ConnectionUnusable(f"{app.id} has no master yet ({app.state})", hint=f"rayyarn status {name}")
    return AppMaster(app.am, app.id, secrets.credentials, limit=limit)
