from __future__ import annotations

from stage1.dataset.v1 import dataset_pb2, dataset_service_pb2, import_pb2

from services.dataset.convert.importing import import_order
from services.dataset.convert.sniffing import sniff_order

OHLCV = dataset_pb2.TABLE_OHLCV
INDICATORS = dataset_pb2.TABLE_INDICATORS


def ordered(expected: dataset_pb2.Manifest) -> list[tuple[str, ...]]:
    header = import_pb2.ImportHeader(
        slug="a",
        symbol="A",
        parts=[
            import_pb2.ImportPart(table=OHLCV, text_columns=["venue"]),
            import_pb2.ImportPart(table=INDICATORS, rename={"code": "Code"}),
        ],
        expected=expected,
    )
    order = import_order(dataset_service_pb2.ImportDatasetRequest(header=header), 1)
    return [part.options.text_columns for part in order.parts]


def column(name: str, table: dataset_pb2.Table.ValueType, *, is_text: bool) -> dataset_pb2.Column:
    type_ = dataset_pb2.Column.TYPE_STRING if is_text else dataset_pb2.Column.TYPE_FLOAT64
    return dataset_pb2.Column(name=name, table=table, type=type_)


def test_columns_of_text_can_be_said() -> None:
    assert ordered(dataset_pb2.Manifest()) == [("venue",), ()]


def test_columns_are_of_text_where_the_manifest_that_came_along_says_so() -> None:
    expected = dataset_pb2.Manifest(
        columns=[
            column("state", OHLCV, is_text=True),
            column("close", OHLCV, is_text=False),
            column("code", INDICATORS, is_text=True),
        ]
    )
    assert ordered(expected) == [("venue", "state"), ("Code",)]


def test_columns_of_text_can_be_said_to_a_sniff() -> None:
    part = import_pb2.ImportPart(table=OHLCV, text_columns=["venue"])
    header = import_pb2.SniffHeader(part=part)
    order = sniff_order(dataset_service_pb2.SniffFileRequest(header=header), 1)
    assert order.part.options.text_columns == ("venue",)
