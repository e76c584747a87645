"""What the documentation shows is what works: its code is run, page by page."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.doc_pages import ROOT, Block, PageFault, read_blocks, run_blocks

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(path: Path) -> list[Block]:
    return read_blocks(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


RUN = [path for path in PAGES if any(block.mark for block in blocks_of(path))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_of_python_is_python(path: Path) -> None:
    for block in blocks_of(path):
        if block.language == "python":
            compile(block.in_place, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("path", RUN, ids=lambda path: path.name)
def test_every_block_that_is_marked_does_what_it_promises(path: Path, tmp_path: Path) -> None:
    assert run_blocks(blocks_of(path), tmp_path) > 0


# --- how pages are read ---------------------------------------------------------------------

PAGE = """\
# A page

```python file=shop/prices.py
def price(fruit: str) -> int:
    return {"apple": 3}[fruit]
```

1. Then:

   ```python run
   from shop.prices import price
   print(price("apple"))
   ```

   ```text output
   3
   ```

```python test
from shop.prices import price

def test_an_apple_costs_three():
    assert price("apple") == 3
```

````md
```python
only shown
```
````
"""


def test_a_page_is_a_project_whose_marked_blocks_are_run(tmp_path: Path) -> None:
    blocks = read_blocks("page.md", PAGE)

    assert [(block.place, block.language, block.mark, block.file) for block in blocks] == [
        ("page.md:4", "python", "", "shop/prices.py"),
        ("page.md:11", "python", "run", None),
        ("page.md:16", "text", "output", None),
        ("page.md:20", "python", "test", None),
        ("page.md:27", "md", "", None),
    ]
    assert run_blocks(blocks, tmp_path) == 2


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"apple": 3', '"apple": 4', "page.md:16: the program printed\n4"),
        ("print(", "prnt(", "page.md:11: exit code 1"),
        ("== 3", "== 4", "test_line_20.py:23: AssertionError"),
        ("python run", "python runn", "page.md:11: 'runn' is not a mark; there are run, test"),
        ("python run", "python", "page.md:16: there is no program whose output this is"),
        (
            "python test",
            "python file=shop/prices.py",
            "page.md:20: shop/prices.py is written twice",
        ),
    ],
)
def test_a_block_that_breaks_its_promise_is_named(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    with pytest.raises(PageFault) as broken:
        run_blocks(read_blocks("page.md", PAGE.replace(old, new, 1)), tmp_path)

    assert fault in str(broken.value)
