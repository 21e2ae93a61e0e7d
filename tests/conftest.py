"""Shared by all tests: the real data where it is at hand, and a cache of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    """The first folder of NLPTRANSFER_DATA. Tests that use it carry the marker `data`."""
    folders = [Path(name) for name in os.environ.get("NLPTRANSFER_DATA", "").split(os.pathsep) if name]
    for folder in folders:
        if folder.is_dir():
            return folder.resolve()
    message = "NLPTRANSFER_DATA names no folder with the real corpora"
    if os.environ.get("NLPTRANSFER_REQUIRE_DATA") == "1":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test caches in a folder of its own, so that none sees what another, or a user, left behind."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("NLPTRANSFER_CACHE", str(folder))
    return folder
