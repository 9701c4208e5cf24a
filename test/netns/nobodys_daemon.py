"""conntally run by a user who may do next to nothing."""

import pathlib
import shutil

from daemon import BINARY, Daemon

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]
NOTHING = [*NOBODY, "--inh-caps", "-all", "--bounding-set", "-all"]
NET_ADMIN = [*NOBODY, "--inh-caps", "-all,+net_admin", "--ambient-caps", "-all,+net_admin",
             "--bounding-set", "-all,+net_admin"]


class NobodysDaemon(Daemon):
    """Run from a folder that nobody can reach, as the tree may not be."""

    def __init__(self, namespace, prefix, config=None):
        super().__init__(namespace, config, prefix=prefix)
        binary = pathlib.Path(self.folder.name, "conntally")
        shutil.copy(BINARY, binary)
        self.command[len(prefix)] = binary
