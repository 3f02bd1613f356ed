"""One ``up``, from a spec to a usable cluster: the order of things, each with its undo."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rayyarn import (
    access,
    archives,
    connection,
    filesystem,
    placement,
    plan,
    preflight,
    register,
    sameness,
    sent_files,
    shipment,
    teardown,
    vault,
)
from rayyarn.app_folder import AppFolder
from rayyarn.connection import Connection
from rayyarn.errors import RayYarnError
from rayyarn.lease import Lease
from rayyarn.skein_am import Driver, new_credentials
from rayyarn.up_result import UpResult
from rayyarn.waiting import Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from rayyarn.archives import ShippedEnvironment
    from rayyarn.filesystem import FileSystem
    from rayyarn.hadoop import Hadoop
    from rayyarn.placement import Placement
    from rayyarn.rm import ResourceManager
    from rayyarn.skein_am import Credentials
    from rayyarn.spec import ClusterSpec
    from rayyarn.state import ClusterStatus
    from rayyarn.steps import Steps
    from rayyarn.vault import Vault
    from rayyarn.yarn_report import App

# The other `up` has its application and needs a moment, or a JVM, to write a few small files.
_DRAFT_LIMIT = 60.0


class Launch:
    """Brings one cluster up, or joins the ``up`` that is already at it."""

    def __init__(
        self,
        spec: ClusterSpec,
        site: Hadoop,
        rm: ResourceManager,
        steps: Steps,
        *,
        recheck: bool,
        file: Path | None,
        confirm: bool = True,
    ) -> None:
        self._spec, self._site, self._rm, self._steps = spec, site, rm, steps
        self._recheck, self._confirm = recheck, confirm
        self._file, self._copy = connection.local_path(site.yarn_id, spec.name), file

    @cached_property
    def _place(self) -> Placement:
        return placement.resolve(self._spec, self._rm)

    @cached_property
    def _fs(self) -> FileSystem:
        return filesystem.open(self._site)

    def run(self, *, wait: bool) -> UpResult:
        """Up, whatever is there now."""
        with self._steps.step("YARN's register") as step:
            found = register.find(self._rm, self._spec.name)
            step.result = f"{self._spec.name} is {found.id}" if found else f"no cluster named {self._spec.name!r} yet"
        if found is not None:
            return self._join(found, wait=wait)
        preflight.check(self._spec, self._rm)
        return self._launch(wait=wait)

    def dry_run(self) -> UpResult:
        """The application document that ``run`` would submit; nothing is made."""
        preflight.check(self._spec, self._rm)
        spec = self._spec
        shipped = shipment.foresee(self._site, self._fs, spec.environment, spec.code, spec.files)
        small = {one.name: "***" for one in shipped.files if one.small}
        files = plan.Secrets("***", "***" if spec.env_vars else None, small)
        return UpResult(
            name=self._spec.name,
            application=None,
            address=None,
            connection_file=None,
            changed=False,
            state="planned",
            workers=self._place.workers(self._spec),
            plan=plan.masked(self._document(shipped, files, lease=True, launch="dry-run")),
            remarks=(
                *shipped.environment.remarks,
                *(f"would make {uri}" for uri in shipment.missing(self._fs, shipped)),
            ),
        )

    # --- a new cluster -----------------------------------------------------------------------------------------

    def _launch(self, *, wait: bool) -> UpResult:
        place = self._place  # raises for hosts that cannot do
        credentials = new_credentials()
        with Driver(self._site, credentials) as driver:  # its JVM boots while the environment is looked at
            shipped = self._ship()
            secrets = vault.make(self._site.yarn_id, self._spec.name, credentials, self._spec.env_vars)
            self._steps.undo("remove the secrets", secrets.remove)
            sent_files.keep(shipped.files, secrets.files)
            # Before the submit: YARN may have the application although its id never came back to us.
            self._steps.undo("kill what was submitted", lambda: self._kill_launched(secrets.generation))
            try:
                app_id = self._submit(driver, shipped, secrets, lease=wait)
            except RayYarnError as error:
                if not shipment.is_gone(shipped, error):
                    raise
                self._steps.reporter.note("a staged file that was there before is gone: staging again")
                shipped = self._ship(again=True)
                app_id = self._submit(driver, shipped, secrets, lease=wait)
        winner = register.find(self._rm, self._spec.name)
        if winner is not None and winner.id != app_id:  # two `up`s at once: the lower id is the cluster
            self._kill(app_id)
            secrets.remove()
            return self._join(winner, wait=wait)
        folder = AppFolder(self._fs, self._site, app_id)
        self._steps.undo("remove the cluster's folder", folder.remove)
        draft = self._draft(app_id, shipped, secrets, folder)
        folder.save(draft, secrets)
        if not wait:
            secrets.settle()
            return self._result(app_id, None, changed=True, remarks=shipped.environment.remarks)
        status = self._wait(app_id, draft, folder, credentials, workers=place.workers(self._spec), place=place)
        secrets.settle()
        remarks = (*shipped.environment.remarks, *place.remarks([(node.role, node.host) for node in status.nodes]))
        return self._result(app_id, status, changed=True, remarks=remarks)

    def _ship(self, *, again: bool = False) -> ShippedEnvironment:
        recheck = self._recheck or again
        shipped = archives.environment(
            self._site, self._fs, self._spec.environment, code=self._spec.code, recheck=recheck, steps=self._steps
        )
        files = sent_files.send(self._site, self._fs, self._spec.files, recheck=recheck, steps=self._steps)
        return replace(shipped, files=files)

    def _submit(self, driver: Driver, shipped: ShippedEnvironment, secrets: Vault, *, lease: bool) -> str:
        variables = str(secrets.variables) if secrets.variables else None
        small = {one.name: str(secrets.files / one.name) for one in shipped.files if one.small}
        files = plan.Secrets(str(secrets.token), variables, small)
        document = self._document(shipped, files, lease=lease, launch=secrets.generation)
        with self._steps.step("skein's driver", limit=60):
            driver.ready()
        with self._steps.step("submit", limit=120) as step:
            app_id = driver.submit(document)
            step.result = app_id
        if self._steps.keep:  # a kept cluster's secrets are needed to look at it
            secrets.settle()
        return app_id

    def _kill(self, app_id: str) -> None:
        teardown.kill(self._rm, app_id, "taken back by the `rayyarn up` that submitted it")

    def _kill_launched(self, generation: str) -> None:
        for app in self._rm.apps(tag=register.launch_tag(generation)):
            self._kill(app.id)

    def _document(
        self, shipped: ShippedEnvironment, files: plan.Secrets, *, lease: bool, launch: str
    ) -> dict[str, Any]:
        return plan.build(
            self._spec,
            launch=launch,
            fingerprint=shipped.fingerprint,
            shipments=shipment.shipments(shipped),
            secrets=files,
            owner=self._site.user,
            admins=self._site.admins,
            lease=lease,
            placement=self._place,
            rm=tuple(self._site.rm_web),
        )

    def _draft(self, app_id: str, shipped: ShippedEnvironment, secrets: Vault, folder: AppFolder) -> Connection:
        """All of the connection document that is known before Ray runs."""
        return Connection(
            name=self._spec.name,
            generation=secrets.generation,
            user=self._site.user,
            created=time.time(),
            yarn={"id": self._site.yarn_id, "conf_dir": str(self._site.conf_dir), "rm": list(self._site.rm_web)},
            application={"id": app_id, "am": None, "queue": self._spec.queue},
            ray={"address": None, "version": shipped.environment.ray, "dashboard": None},
            nodes=[],
            secrets=secrets.paths(),
            spec=self._spec.masked(),
            **shipment.sections(shipped, folder),
        )

    # --- a cluster that is there -------------------------------------------------------------------------------

    def _join(self, app: App, *, wait: bool) -> UpResult:
        """Use the running cluster when it is the one that was asked for, else say how it differs."""
        folder = AppFolder(self._fs, self._site, app.id)
        known = access.remembered(self._site, self._spec.name, app.id)
        sameness.refuse_other(self._spec, self._rm, app, known or folder.connection(None), recheck=self._recheck)
        if not wait:
            return self._result(app.id, None, changed=False)
        draft = known or self._await_draft(folder)
        secrets = access.vault_of(self._site, self._spec.name, app.id)
        credentials = secrets.credentials if secrets else None  # read now: the other `up` takes them along if it fails
        status = self._wait(app.id, draft, folder, credentials, workers=register.workers_of(app))
        return self._result(app.id, status, changed=False)

    def _await_draft(self, folder: AppFolder) -> Connection:
        """Another `up` submitted this application a moment ago, and writes its folder now."""
        with self._steps.step("the other `up`", limit=_DRAFT_LIMIT) as step:
            step.update("it has submitted, and writes the cluster's folder")
            draft: Connection = step.wait(lambda: folder.connection(self._file))
        return draft

    # --- both --------------------------------------------------------------------------------------------------

    def _wait(
        self,
        app_id: str,
        draft: Connection,
        folder: AppFolder,
        credentials: Credentials | None,
        *,
        workers: int,
        place: Placement = placement.ANYWHERE,
    ) -> ClusterStatus:
        """Wait until the cluster is usable, and make its connection known; who comes second finds all done."""
        waiting = Waiting(self._rm, app_id, self._steps, self._spec, place)
        with waiting.for_master(credentials) as master, Lease(master) as lease:
            status = waiting.for_nodes(master, plan.least_workers(self._spec, workers))
            document = access.completed(draft, status, master)
            if not self._is_written(self._file, document):
                with self._steps.step("connection file", limit=60) as step:
                    self._steps.undo(f"remove {self._file}", lambda: self._file.unlink(missing_ok=True))
                    document.write(self._file)
                    access.publish(document, folder, master)
                    step.result = str(self._file)
            copy = self._copy
            if copy is not None and not self._is_written(copy, document):
                with self._steps.step("its copy", limit=60) as step:
                    self._steps.undo(f"remove {copy}", lambda: copy.unlink(missing_ok=True))
                    connection.read(self._file).copy_to(copy)
                    step.result = str(copy)
            if self._confirm:
                lease.confirm()
        return status

    @staticmethod
    def _is_written(path: Path, document: Connection) -> bool:
        try:
            written = connection.read(path)
        except RayYarnError:
            return False
        return (written.generation, written.ray) == (document.generation, document.ray)

    def _result(
        self, app_id: str, status: ClusterStatus | None, *, changed: bool, remarks: tuple[str, ...] = ()
    ) -> UpResult:
        return UpResult(
            name=self._spec.name,
            application=app_id,
            address=status.address if status else None,
            connection_file=str(self._copy or self._file) if status else None,
            changed=changed,
            state=status.state if status else "starting",
            workers=status.workers if status else 0,
            timeline=tuple(self._steps.timeline),
            remarks=remarks,
        )
