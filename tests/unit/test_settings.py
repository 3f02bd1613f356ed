from pathlib import Path

import pytest

from rayyarn import settings
from rayyarn.errors import SpecError

GIB = 1 << 30


@pytest.fixture
def place(tmp_path):
    """A folder to stand in, a home and a site file, and how to resolve there."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "home/.config/rayyarn").mkdir(parents=True)
    return Place(tmp_path)


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.cwd, self.home = root / "cwd", root / "home"
        self.project = self.cwd / "rayyarn.yaml"
        self.user = self.home / ".config/rayyarn/config.yaml"
        self.site = root / "site.yaml"

    def environ(self, **variables):
        base = {"HOME": str(self.home)} | variables
        return base | {"RAYYARN_SITE_FILE": str(self.site)} if self.site.exists() else base

    def resolve(self, _file=None, _spoken="keyword", _environ=None, **overrides):
        environ = self.environ(**(_environ or {}))
        return settings.resolve(overrides, environ=environ, file=_file, cwd=self.cwd, spoken=_spoken)

    def problems(self, *args, **kwargs):
        with pytest.raises(SpecError) as raised:
            self.resolve(*args, **kwargs)
        assert raised.value.exit_code == 2
        return raised.value.problems


def test_without_anything_all_is_default(place):
    found = place.resolve()
    assert found.spec == settings.ClusterSpec()
    assert {str(origin) for origin in found.origins.values()} == {"default"}
    assert found.origins.keys() == settings.ALL_SETTINGS.keys()


def test_the_order_of_the_sources(place):
    """Each source takes over from the next weaker one, and says so."""
    seen = []

    def look(**given):
        found = place.resolve(**given)
        seen.append((found.spec.workers, str(found.origins["workers"])))

    look()
    place.site.write_text("workers: 11")
    look()
    place.user.write_text("\nworkers: 12")
    look()
    place.project.write_text("name: x\n\nworkers: 13\n")
    look()
    (place.cwd / "other.yaml").write_text("workers: 14")
    look(_file="other.yaml")
    look(_environ={"RAYYARN_WORKERS": "15"})
    look(_environ={"RAYYARN_WORKERS": "15"}, workers=16)
    look(_environ={"RAYYARN_WORKERS": "15"}, workers="17", _spoken="flag")
    assert seen == [
        (2, "default"),
        (11, f"{place.site}:1"),
        (12, "~/.config/rayyarn/config.yaml:2"),
        (13, "rayyarn.yaml:3"),
        (14, "other.yaml:1"),
        (15, "RAYYARN_WORKERS"),
        (16, "keyword workers"),
        (17, "flag --workers"),
    ]


def test_file_replaces_the_project_file_but_not_the_users(place):
    place.project.write_text("queue: project")
    place.user.write_text("worker: {cpus: 7}")
    (place.cwd / "f.yaml").write_text("workers: 3")
    found = place.resolve(_file="f.yaml").spec
    assert (found.queue, found.worker.cpus, found.workers) == (None, 7, 3)


def test_xdg_config_home_moves_the_users_file(place):
    folder = place.root / "xdg/rayyarn"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("queue: xdg")
    place.user.write_text("queue: home")
    assert place.resolve(_environ={"XDG_CONFIG_HOME": str(place.root / "xdg")}).spec.queue == "xdg"


def test_every_kind_of_value_from_yaml(place):
    place.project.write_text(
        "name: nightly\nenvironment: ./env\nqueue: no\nhead: {memory: 4 GiB, cpus: 1}\nworkers: 8\n"
        "worker: {memory: 16g, cpus: 4, gpus: 1, object-store: 4 GiB}\nmin-workers: 6\nready-timeout: 2 min\n"
        "env-vars: {OMP_NUM_THREADS: 4, VERSION: 1.10}\ncode: [./src, /abs]\nhadoop-conf: ~/conf\n"
    )
    found = place.resolve()
    spec = found.spec
    assert spec.environment == str(place.cwd / "env")
    assert spec.queue == "no"
    assert (spec.head.memory, spec.head.cpus) == (4 * GIB, 1)
    assert (spec.worker.memory, spec.worker.gpus, spec.worker.object_store) == (16 * GIB, 1, 4 * GIB)
    assert (spec.min_workers, spec.ready_timeout) == (6, 120.0)
    assert spec.env_vars == {"OMP_NUM_THREADS": "4", "VERSION": "1.10"}
    assert spec.code == (str(place.cwd / "src"), "/abs")
    assert found.hadoop_conf == str(Path("~/conf").expanduser())


def test_every_kind_of_value_from_variables(place):
    found = place.resolve(
        _environ={
            "RAYYARN_NAME": "v", "RAYYARN_ENVIRONMENT": "hdfs://nn/e.tar.gz", "RAYYARN_WORKER_OBJECT_STORE": "1 GiB",
            "RAYYARN_ENV_VARS": "A=1,LIST=x,y,B=", "RAYYARN_CODE": "src:/abs", "RAYYARN_READY_TIMEOUT": "90s",
            "RAYYARN_QUEUE": "", "RAYYARN_CONNECTION_FILE": "c.json",
        }
    )  # fmt: skip
    spec = found.spec
    assert (spec.name, spec.environment, spec.worker.object_store) == ("v", "hdfs://nn/e.tar.gz", GIB)
    assert spec.env_vars == {"A": "1", "LIST": "x,y", "B": ""}
    assert spec.code == (str(place.cwd / "src"), "/abs")
    assert spec.ready_timeout == 90
    assert str(found.origins["queue"]) == "default"  # an empty variable is not set
    assert found.connection_file == str(place.cwd / "c.json")


def test_paths_are_relative_to_the_file_they_stand_in(place):
    place.user.write_text("environment: envs/ml")
    assert place.resolve().spec.environment == str(place.user.parent / "envs/ml")
    assert place.resolve(environment="envs/ml").spec.environment == str(place.cwd / "envs/ml")


def test_files_are_a_list_or_separated_by_commas_and_paths_where_they_stand(place):
    place.user.write_text("files: [a.yaml, 'hdfs:///b.pt#c']\nhosts: [n1, n2]\n")
    (place.user.parent / "a.yaml").touch()
    assert place.resolve().spec.hosts == ("n1", "n2")
    assert place.resolve().spec.files == (f"{place.user.parent}/a.yaml", "hdfs:///b.pt#c")
    for name in ("x", "y", "z"):
        (place.cwd / name).touch()
    places = tuple(str(place.cwd / name) for name in ("x", "y#why", "z"))
    assert place.resolve(files=("x,y#why", "z"), _spoken="flag").spec.files == places
    assert place.resolve(_environ={"RAYYARN_FILES": "x,y#why,z"}).spec.files == places
    assert place.resolve(_environ={"RAYYARN_FILES_DIR": "/here"}).spec.files == place.resolve().spec.files


def test_a_mapping_is_taken_whole(place):
    place.user.write_text("env-vars: {A: 1}")
    place.project.write_text("env-vars: {B: 2}")
    assert place.resolve().spec.env_vars == {"B": "2"}


def test_all_problems_of_all_sources_together(place):
    place.site.write_text("quue: etl")
    place.user.write_text("worker:\n  memroy: 3 GiB\n")
    place.project.write_text("wrokers: 3\nworker: 5\nready-timeout: soon\nqueue:\nqueue: x\n")
    problems = place.problems(
        _environ={"RAYYARN_WORKER_MEM": "1 GiB", "RAYYARN_WORKER_CPUS": "many"}, min_workers=5, _spoken="flag"
    )
    assert problems == [
        "RAYYARN_WORKER_MEM: no such variable; did you mean RAYYARN_WORKER_MEMORY?",
        "wrokers: no such key; did you mean workers? (rayyarn.yaml:1)",
        "worker: a section with memory, cpus, gpus, object-store is expected (rayyarn.yaml:2)",
        "queue: it has no value; write for example 'etl' (rayyarn.yaml:4)",
        "queue: given twice (rayyarn.yaml:5)",
        "worker.memroy: no such key; did you mean memory? (~/.config/rayyarn/config.yaml:2)",
        f"quue: no such key; did you mean queue? ({place.site}:1)",
        "worker.cpus: 'many' is not a whole number; write for example '4' (RAYYARN_WORKER_CPUS)",
        "ready-timeout: 'soon' is not a duration; write for example '10 min' (rayyarn.yaml:3)",
        "min-workers: 5 is not between 0 and workers, 2 (flag --min-workers)",
    ]


def test_nothing_is_compared_with_a_value_that_could_not_be_read(place):
    assert [p.split(":")[0] for p in place.problems(workers="eight", min_workers=5)] == ["workers"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "rayyarn.yaml:1: not YAML"),
        ("- a", "rayyarn.yaml:1: a list of `key: value` is expected"),
        ("worker.memory: 3 GiB", "write it as worker: {memory: ...} (rayyarn.yaml:1)"),
        ("min_workers: 3", "did you mean min-workers? (rayyarn.yaml:1)"),
        ("env-vars: A=1", "a section of NAME: value is expected"),
        ("env-vars: {A: [1]}", "each entry must be one text"),
        ("queue: [a]", "a list where one value is expected"),
        ("name: {a: b}", "a section where one value is expected"),
    ],
)
def test_what_a_file_can_have_wrong(place, text, problem):
    place.project.write_text(text)
    problems = place.problems()
    assert len(problems) == 1
    assert problem in problems[0]


def test_an_empty_file_says_nothing(place):
    place.project.write_text("# workers: 3\n")
    assert place.resolve().spec.workers == 2


@pytest.mark.parametrize("text", ["\tworkers: 1", "a: \xff"])
def test_a_file_that_cannot_be_read_is_named(place, text):
    place.project.write_bytes(text.encode("latin-1"))
    assert place.problems()[0].startswith("rayyarn.yaml")


def test_files_that_were_asked_for_must_exist(place):
    problems = place.problems(_file="none.yaml", _environ={"RAYYARN_SITE_FILE": "/none/site.yaml"})
    assert problems == ["none.yaml: no such file", "/none/site.yaml: no such file"]


@pytest.mark.parametrize(
    "variable", ["RAYYARN_HOME", "RAYYARN_CONNECTION", "RAYYARN_TEST_HADOOP", "RAYYARN_ENV_FINGERPRINT", "RAYYARN_XYZ"]
)
def test_other_variables_are_left_alone(place, variable):
    assert place.resolve(_environ={variable: "x"}).spec.workers == 2


def test_an_unknown_keyword_names_the_nearest(place):
    assert place.problems(worker_mem=3) == [
        "worker_mem: no such setting; did you mean worker_memory? (keyword worker_mem)"
    ]


def test_pick_takes_only_what_it_is_asked_for(place):
    place.project.write_text("name: nightly\nworkers: nonsense\n")
    assert settings.pick(environ=place.environ(), cwd=place.cwd, name=None, hadoop_conf="/c") == {
        "name": "nightly",
        "hadoop_conf": "/c",
    }
    with pytest.raises(SpecError, match=r"'Bad' must be .* \(argument NAME\)"):
        settings.pick(environ=place.environ(), cwd=place.cwd, name="Bad")


@pytest.mark.parametrize("text", ["nam: nightly", "name: [", "name:"])
def test_pick_does_not_fall_back_to_a_default_past_a_mistake(place, text):
    """`rayyarn down` beside a file that means `nightly` must not stop `default`."""
    place.project.write_text(text)
    with pytest.raises(SpecError, match=r"rayyarn\.yaml:1"):
        settings.pick(environ=place.environ(), cwd=place.cwd, name=None)


def test_the_json_of_all_settings_hides_the_values_of_variables(place):
    found = place.resolve(env_vars={"TOKEN": "hunter2"}).to_dict()
    assert found["env_vars"] == {"value": {"TOKEN": "***"}, "origin": "keyword env_vars"}
    assert found["worker_memory"] == {"value": 4 * GIB, "origin": "default"}
