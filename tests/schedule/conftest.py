"""Random programs take as long as they take: a busy machine must not fail a test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("schedule", deadline=None)
settings.load_profile("schedule")
