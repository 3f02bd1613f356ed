"""The connection document: written, read again by every later version, and never somebody else's file."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rayyarn import connection
from rayyarn.errors import ConnectionUnusable

SAMPLES = sorted((Path(__file__).parent / "samples").glob("connection-*.json"))
DOCUMENT = SAMPLES[-1].read_bytes()


def test_every_schema_has_a_sample():
    assert [path.name for path in SAMPLES] == [f"connection-{n}.json" for n in range(1, connection.SCHEMA + 1)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_old_schemas_stay_readable(sample):
    found = connection.read(sample)
    assert (found.name, found.generation, found.user) == ("demo", "0a1b2c3d", "me")
    assert found.application["id"] == "application_1763_0042"
    assert found.ray["address"] == "10.0.0.1:6379"
    assert found.environ()["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert found.environ()["PYSPARK_PYTHON"] == "./environment/bin/python"


def test_what_is_written_is_read_again(tmp_path):
    found = connection.parse(DOCUMENT, None)
    written = found.write(tmp_path / "demo.json")
    assert connection.read(tmp_path / "demo.json") == written == found
    assert written.path == tmp_path / "demo.json"
    assert (tmp_path / "demo.json").stat().st_mode & 0o777 == 0o600
    assert next(iter(json.loads((tmp_path / "demo.json").read_text()))) == "schema"
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_secrets_lie_beside_the_document_wherever_that_is(tmp_path, monkeypatch):
    found = connection.parse(DOCUMENT, tmp_path / "demo.json")
    assert found.secret("token") == tmp_path / "demo.0a1b2c3d" / "token"
    assert found.environ()["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "demo.0a1b2c3d" / "token")
    monkeypatch.chdir(tmp_path)
    assert connection.parse(DOCUMENT, Path("demo.json")).secret("key") == tmp_path / "demo.0a1b2c3d" / "key.pem"
    with pytest.raises(ConnectionUnusable, match="no secrets beside it"):
        connection.parse(DOCUMENT, None).secret("token")


def test_the_token_is_named_and_not_held(tmp_path):
    (tmp_path / "demo.0a1b2c3d").mkdir()
    (tmp_path / "demo.0a1b2c3d" / "token").write_text("s3cret")
    found = connection.parse(DOCUMENT, tmp_path / "demo.json")
    assert "s3cret" not in str(found.environ())
    assert b"s3cret" not in found.to_json()


def test_a_newer_schema_is_refused_and_what_it_added_in_this_one_is_ignored():
    document = json.loads(DOCUMENT)
    with pytest.raises(ConnectionUnusable, match=r"written by a newer rayyarn \(schema 99; this one reads up to 1\)"):
        connection.parse(json.dumps({**document, "schema": 99}).encode(), None)
    assert connection.parse(json.dumps({**document, "extra": 1}).encode(), None) == connection.parse(DOCUMENT, None)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"3", b"\xff\x00", b'{"schema": "one"}', b'{"schema": null}'])
def test_another_programs_file_is_refused(data, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(ConnectionUnusable) as caught:
        connection.read(path)
    assert caught.value.message == f"{path} is not a connection file of rayyarn"


def test_an_incomplete_document_names_what_is_missing():
    document = json.loads(DOCUMENT)
    del document["ray"], document["nodes"]
    with pytest.raises(ConnectionUnusable, match=r"is incomplete: .*'ray' and 'nodes'"):
        connection.parse(json.dumps(document).encode(), None)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConnectionUnusable, match=r"nowhere\.json cannot be read: No such file"):
        connection.read(tmp_path / "nowhere.json")


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(ConnectionUnusable, match="cannot be written: No such file") as caught:
        connection.parse(DOCUMENT, None).write(tmp_path / "nowhere" / "demo.json")
    assert caught.value.hint == f"ls -ld {tmp_path}/nowhere"


def test_the_documents_of_a_name_newest_first():
    for age, yarn in enumerate(("mini", "prod")):
        path = connection.local_path(yarn, "demo")
        path.parent.mkdir(mode=0o700, parents=True)
        replace(connection.parse(DOCUMENT, None), user=yarn).write(path)
        os.utime(path, (1000 - age, 1000 - age))
    connection.parse(DOCUMENT, None).write(connection.local_path("mini", "other"))
    assert [path.parent.name for path in connection.known("demo")] == ["mini", "prod"]
    assert connection.known("nobody") == []


@pytest.mark.parametrize(
    ("asked", "environ", "expected"),
    [
        ("demo", {"RAYYARN_CONNECTION": "/c.json"}, "demo"),
        ("./demo", {}, Path("demo")),
        ("demo.json", {}, Path("demo.json")),
        (Path("/a/b.json"), {}, Path("/a/b.json")),
        (None, {"RAYYARN_CONNECTION": "/c.json", "RAYYARN_NAME": "n"}, Path("/c.json")),
        (None, {"RAYYARN_NAME": "n"}, "n"),
        (None, {}, "default"),
    ],
)
def test_a_name_or_a_path(asked, environ, expected, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert connection.locate(asked) == expected
