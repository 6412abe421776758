from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from services.shared.postgres import UnreadableDsn, conninfo
from services.shared.settings import PostgresSettings


def told(dsn: str, password: str | None = None) -> str:
    secret = None if password is None else SecretStr(password)
    return conninfo(PostgresSettings(postgres_dsn=SecretStr(dsn), postgres_password=secret))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres:s3cret@127.0.0.1/x",
        "postgresql://postgres:s3cret%zz@127.0.0.1/x",
        "postgresql://postgres:p@s3cret@127.0.0.1/x",
        "postgresql://postgres:s3cret/s@127.0.0.1/x",
        "host=127.0.0.1 password='s3cret",
    ],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_a_word_of_it(dsn: str) -> None:
    for password in (None, "other"):
        with pytest.raises(UnreadableDsn) as caught:
            told(dsn, password)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p%40ss@127.0.0.1:5432/x",
        "postgresql://u:p%40ss@a:1,b:2/x",
        "host=/run/postgresql user=u password=p@ss dbname=x",
    ],
)
def test_a_dsn_that_can_be_read_stays_and_takes_the_password_beside_it(dsn: str) -> None:
    assert conninfo_to_dict(told(dsn))["password"] == "p@ss"
    assert conninfo_to_dict(told(dsn, "other"))["password"] == "other"
