"""What the tests of the step loop share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.provider import fake_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.provider import FakeProvider


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as running:
        yield running
