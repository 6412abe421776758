"""The fixtures, by what they provide."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["tests.fix_postgres", "tests.fix_questdb", "tests.fix_roles", "tests.fix_rpc"]

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("stage1", deadline=None)
settings.load_profile("stage1")
