"""The fixtures, by what they provide."""

from __future__ import annotations

pytest_plugins = ["tests.fix_postgres", "tests.fix_roles", "tests.fix_questdb", "tests.fix_rpc"]
