"""A worker process, `python -m chatrun.worker FD`, or with `--warm FD` a parent of such."""

from __future__ import annotations

import sys

if sys.argv[1] == "--warm":
    from chatrun.worker.warm import main

    main(int(sys.argv[2]))
else:
    from chatrun.worker.process import main

    main(int(sys.argv[1]))
