"""`run`: up, the program, and always down, in whatever way each of them ends."""

import pytest
from sites import left

from rayyarn import batch, cluster, program, store
from rayyarn.errors import ClusterDiffers, ClusterFailed, ClusterRuns, NotReady
from rayyarn.rm import ResourceManager
from rayyarn.spec import ClusterSpec

SPEC = ClusterSpec(name="demo", workers=2, ready_timeout=5)
APP = "application_1_0001"


@pytest.fixture
def programs(yarn, site, monkeypatch):
    """Programs that ran, each with what the cluster was then; ``code`` is what they end with, or raise."""
    ran, told = [], {"code": 0}

    def run(name, command, *, hadoop_conf, log, reporter):
        keys = yarn.stores[yarn.live()[0]]
        ran.append((name, *command, store.LEASE in keys, store.CONFIRMED in keys))
        if isinstance(told["code"], BaseException):
            raise told["code"]
        return told["code"]

    monkeypatch.setattr(program, "run", run)
    told["ran"] = ran
    return told


@pytest.mark.parametrize("code", [0, 3, 137])
def test_the_cluster_goes_with_its_program(yarn, site, tmp_path, programs, code):
    programs["code"] = code
    result = batch.run(SPEC, ["python", "x.py"])
    assert (result.exit_code, result.cluster, result.application) == (code, "ended", APP)
    assert programs["ran"] == [("demo", "python", "x.py", True, False)], "it lives by a lease and is not confirmed"
    assert yarn.live() == []
    assert left(site, tmp_path) == []


@pytest.mark.parametrize("error", [ClusterFailed("the head was lost"), KeyboardInterrupt()])
def test_the_cluster_goes_when_the_program_cannot_be_run(yarn, site, tmp_path, programs, error):
    programs["code"] = error
    with pytest.raises(type(error)):
        batch.run(SPEC, ["x"])
    assert yarn.live() == []
    assert left(site, tmp_path) == []


def test_a_cluster_that_is_gone_already_is_no_error(yarn, site, tmp_path, programs, monkeypatch):
    def run(*_, **__):
        yarn.end(APP, "FINISHED", "FAILED", "the Ray head was lost")
        return 1

    monkeypatch.setattr(program, "run", run)
    assert batch.run(SPEC, ["x"]).exit_code == 1
    assert left(site, tmp_path) == []


def test_a_failed_program_may_leave_its_cluster(yarn, site, programs):
    programs["code"] = 3
    result = batch.run(SPEC, ["x"], keep_on_failure=True)
    assert (result.exit_code, result.cluster) == (3, "kept")
    assert yarn.live() == [APP]
    assert store.CONFIRMED in yarn.stores[APP], "it must outlive this process"
    programs["code"] = 0
    cluster.down("demo")
    assert batch.run(SPEC, ["x"], keep_on_failure=True).cluster == "ended"
    assert yarn.live() == []


def test_what_to_do_with_a_cluster_that_is_there(yarn, site, programs):
    cluster.up(SPEC)
    with pytest.raises(ClusterRuns, match=f"demo runs already \\({APP}\\)"):
        batch.run(SPEC, ["x"])
    skipped = batch.run(SPEC, ["x"], if_running="skip")
    assert (skipped.exit_code, skipped.cluster) == (None, "kept")
    assert programs["ran"] == []
    reused = batch.run(SPEC, ["x"], if_running="reuse")
    assert (reused.exit_code, reused.cluster, reused.application) == (0, "kept", APP)
    with pytest.raises(ClusterDiffers):
        batch.run(ClusterSpec(name="demo", workers=7, ready_timeout=5), ["x"], if_running="reuse")
    assert yarn.live() == [APP]


def test_waiting_for_the_other_run(yarn, site, programs, monkeypatch):
    monkeypatch.setattr(batch, "_LOOK", 0.01)
    cluster.up(SPEC)
    with pytest.raises(NotReady, match=f"waited 0 s for the end of {APP}; last seen: another run of 'demo' uses it"):
        batch.run(SPEC, ["x"], if_running="wait", wait_limit=0.05)
    assert yarn.live() == [APP]
    answer = ResourceManager.live
    looks = []

    def ends_after_three(rm, app_id):
        looks.append(app_id)
        if len(looks) == 3:
            yarn.end(APP, "FINISHED", "SUCCEEDED")
        return answer(rm, app_id)

    monkeypatch.setattr(ResourceManager, "live", ends_after_three)
    result = batch.run(SPEC, ["x"], if_running="wait")
    assert (result.application, result.exit_code) == ("application_1_0002", 0)
    assert yarn.live() == []
