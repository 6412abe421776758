"""A database whose services have roles of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from services.shared.provision import SCHEMAS, dsn_of, provision


def provisioned(dsn: str) -> dict[str, str]:
    """The services' DSNs, by schema; `dsn` is the administrator's."""
    passwords = {schema: f"secret of {schema}" for schema in SCHEMAS}
    asyncio.run(provision(dsn, passwords))
    return {schema: dsn_of(dsn, schema, passwords[schema]) for schema in SCHEMAS}


@pytest.fixture(scope="module")
def role_dsns(dsn: str) -> Mapping[str, str]:
    """DSN of each service's role in the module's database."""
    return provisioned(dsn)
