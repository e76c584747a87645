"""A worker process: `python -m chatrun.worker FD`, started by the server with a socket."""

from __future__ import annotations

import sys

from chatrun.worker.process import main

main(int(sys.argv[1]))
