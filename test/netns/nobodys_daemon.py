"""conntally run by a user who may do next to nothing."""

import pathlib
import shutil

from daemon import BINARY, Daemon

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]
NOTHING = [*NOBODY, "--inh-caps", "-all", "--bounding-set", "-all"]


def nobody_with(*capabilities):
    """As nobody with these alone."""
    wanted = ",".join(["-all", *(f"+{capability}" for capability in capabilities)])
    return [*NOBODY, "--inh-caps", wanted, "--ambient-caps", wanted, "--bounding-set", wanted]


NET_ADMIN = nobody_with("net_admin")


class NobodysDaemon(Daemon):
    """Run from a folder that nobody can reach, as the tree may not be."""

    def __init__(self, namespace, prefix, config=None):
        super().__init__(namespace, config, prefix=prefix)
        binary = pathlib.Path(self.folder.name, "conntally")
        shutil.copy(BINARY, binary)
        self.command[len(prefix)] = binary
