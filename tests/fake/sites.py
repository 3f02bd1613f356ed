"""Edge nodes for the tests: their Hadoop, and what is left on them."""

from rayyarn import hadoop, home


def make_site(folder, *addresses):
    properties = {
        "fs.defaultFS": "viewfs://mini/",
        "fs.viewfs.mounttable.mini.linkFallback": f"file://{folder}/fs",
        "yarn.resourcemanager.cluster-id": "test",
        "yarn.resourcemanager.webapp.address": addresses[0],
    }
    if len(addresses) > 1:
        properties |= {"yarn.resourcemanager.ha.enabled": "true",
                       "yarn.resourcemanager.ha.rm-ids": ",".join(f"rm{n}" for n in range(len(addresses)))}  # fmt: skip
        properties |= {f"yarn.resourcemanager.webapp.address.rm{n}": one for n, one in enumerate(addresses)}
    return hadoop.Hadoop(folder, "HADOOP_CONF_DIR", properties, {"HADOOP_USER_NAME": "me"})


def left(site, tmp_path):
    """What is there of clusters, on the edge and on the default file system."""
    places = [home.clusters(site.yarn_id), tmp_path / "fs" / "user" / "me" / ".rayyarn" / "apps"]
    return [path.name for place in places if place.exists() for path in place.iterdir()]
