"""`ray start` with its imports done early, with a `ray` that says what it was called with."""

import os
import subprocess
import sys


def test_ray_start_imports_waits_and_is_ray(tmp_path):
    """The real module, with a `ray` that says what it was called with and what its standard input holds."""
    scripts = tmp_path / "ray" / "scripts"
    scripts.mkdir(parents=True)
    for folder in (scripts.parent, scripts):
        (folder / "__init__.py").touch()
    (scripts / "scripts.py").write_text(
        "import sys\nprint('imported', flush=True)\ndef main(): print(sys.argv, repr(sys.stdin.read()))\n"
    )
    command = [sys.executable, "-m", "rayyarn.container.ray_start"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as ray:
        assert ray.stdout.readline() == "imported\n"
        assert ray.communicate('["start", "--head"]\n', timeout=20)[0] == "['ray', 'start', '--head'] ''\n"
    unasked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, timeout=20)
    assert (unasked.returncode, unasked.stdout) == (0, "imported\n")
