"""An application of no interest, and a shell, as a person would use them on a mini cluster."""

import subprocess
import sys
import time

SPEC = """
name: probe
queue: adhoc
services:
  work:
    instances: 2
    resources: {memory: 128 MiB, vcores: 1}
    script: |
      echo "said by $CONTAINER_ID on $NM_HOST with $HADOOP_CONF_DIR"
      SLEEP
"""


def shell(yarn, *command, timeout=60, **environ):
    done = subprocess.run(command, env={**yarn.environ, **environ}, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def submit(yarn, script="true"):
    """Submit the probe as a person would, with skein's own command in a process of its own."""
    return submit_spec(yarn, SPEC.replace("SLEEP", script))


def submit_spec(yarn, text, **environ):
    """The same with any specification, and with other variables."""
    code = "import sys, skein\nwith skein.Client(log_level='ERROR') as c: print(c.submit(sys.argv[1]))"
    spec = yarn.watch.tmp / "probe.yaml"
    spec.write_text(text)
    try:
        out = shell(yarn, sys.executable, "-W", "ignore", "-c", code, str(spec), **environ)
    finally:
        spec.unlink()
    return out.split()[-1]


def wait(probe, limit=60, what=""):
    end = time.monotonic() + limit
    while not (found := probe()):
        assert time.monotonic() < end, f"waited {limit} s for {what}"
        time.sleep(0.1)
    return found


def state(yarn, application):
    app = yarn.get(f"apps/{application}")["app"]
    return app["state"], app["finalStatus"]


# -- a person's use of it --------------------------------------------------------------------------------------------
