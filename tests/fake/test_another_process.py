"""What holds only when another Python process sees it the same."""

import os
import subprocess
import sys

from rayyarn.spec import ClusterSpec


def python(code, tmp_path):
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_digest_is_twelve_hex_and_the_same_in_another_process(tmp_path):
    code = "from rayyarn.spec import ClusterSpec; print(ClusterSpec(queue='etl', env_vars={'A': 'b'}).digest())"
    other = python(code, tmp_path)
    assert other == ClusterSpec(queue="etl", env_vars={"A": "b"}).digest()
    assert len(other) == 12
    assert int(other, 16) >= 0


def test_yaml_is_not_imported_without_a_file(tmp_path):
    code = "import sys; from rayyarn import settings; settings.resolve({}); print('yaml' in sys.modules)"
    assert python(code, tmp_path) == "False"
