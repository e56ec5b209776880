"""Settings."""

import pytest
from pydantic import ValidationError

from core.settings import Settings


def test_a_group_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_STORAGE_URL", "s3://bucket/prefix")
    assert Settings().storage.url == "s3://bucket/prefix"


def test_a_missing_url_is_named_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKENESS_STORAGE_URL", raising=False)
    with pytest.raises(ValidationError, match="url"):
        _ = Settings().storage


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_STORAGE_URL", "file:///tmp/x")
    with pytest.raises(ValidationError):
        Settings().storage.url = "file:///tmp/y"


def test_a_database_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "SYSTEM_URL", "KEYS_URL"):
        monkeypatch.setenv(f"LIKENESS_DATABASE_{name}", "postgresql://role:hunter2@host/likeness")
    assert "hunter2" not in repr(Settings().database)
