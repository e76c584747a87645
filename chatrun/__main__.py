"""`python -m chatrun`: the `chatrun` command."""

from __future__ import annotations

from chatrun.cli.main import main

main()
