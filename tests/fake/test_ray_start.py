"""What runs in front of Ray's own programs, with programs in their place that say what they were called with."""

import os
import subprocess
import sys

RAY = """
import sys
try:
    import ray.serve.scripts
except ImportError:
    print("imported", flush=True)

def main():
    import ray.serve.scripts
    print(sys.argv, repr(sys.stdin.read()), ray.serve.scripts.there)
"""


def test_ray_start_imports_what_it_needs_waits_and_is_ray(tmp_path):
    """The real module, with a `ray` that says what it was called with and what its standard input holds."""
    ray = tmp_path / "ray"
    for module, text in {"scripts": RAY, "serve": "there = True"}.items():
        (ray / module).mkdir(parents=True)
        (ray / module / "__init__.py").touch()
        (ray / module / "scripts.py").write_text(text)
    command = [sys.executable, "-m", "rayyarn.container.ray_start"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as ray:
        assert ray.stdout.readline() == "imported\n"
        assert ray.communicate('["start", "--head"]\n', timeout=20)[0] == "['ray', 'start', '--head'] '' True\n"
    unasked = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, timeout=20)
    assert (unasked.returncode, unasked.stdout) == (0, "imported\n")


AGENT = """
import logging, sys
log = logging.getLogger("ray.dashboard.modules.event.event_agent")
log.error("Get dashboard http address failed.")
log.error("Report event failed: %s", sys.argv[1:])
if __name__ == "__main__":
    print("an agent")
"""


def test_ray_agent_is_the_agent_without_one_line_of_its_log(tmp_path):
    script = tmp_path / "agent.py"
    script.write_text(AGENT)
    command = [sys.executable, "-m", "rayyarn.container.ray_agent", str(script), "--head"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert (done.stdout, done.stderr) == ("an agent\n", "Report event failed: ['--head']\n")
