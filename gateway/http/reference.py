"""The OpenAPI document as a page to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.http import html

Json = dict[str, Any]


def reference(document: Json) -> str:
    head = html.paragraph(
        "Every path, with what it takes. Types in full are in ",
        html.link("/openapi.json", "openapi.json"),
        "; a refusal is ",
        html.code('{"error": "…", "details": {"reason", "fields", "request_id"}}'),
        ".",
    )
    return head + "".join(_operation(*operation, document) for operation in _operations(document))


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def _operation(path: str, method: str, operation: Json, document: Json) -> str:
    note = " (older name)" if operation.get("deprecated") else ""
    text = operation.get("description", operation.get("summary", ""))
    rows = [*_parameters(operation), *_body(operation, document)]
    parts = html.table(["name", "in", "type", ""], rows) if rows else ""
    return html.heading(f"{method} {path}{note}") + html.paragraph(text) + parts


def _parameters(operation: Json) -> Iterator[tuple[object, ...]]:
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        yield _row(parameter["name"], parameter["in"], schema, parameter.get("description"))


def _body(operation: Json, document: Json) -> Iterator[tuple[object, ...]]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from _fields(content["schema"], media_type, document)


def _fields(
    schema: Json, where: str, document: Json, path: str = ""
) -> Iterator[tuple[object, ...]]:
    """Of an object, and of the objects in it."""
    for name, field in _resolved(schema, document).get("properties", {}).items():
        if "$ref" in field:
            yield from _fields(field, where, document, f"{path}{name}.")
        else:
            yield _row(f"{path}{name}", where, field, None)


def _row(name: str, where: str, schema: Json, description: str | None) -> tuple[object, ...]:
    return html.code(name), where, _type(schema), description or schema.get("description", "")


def _resolved(schema: Json, document: Json) -> Json:
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    found: Json = document["components"]["schemas"][name]
    return found


def _type(schema: Json) -> str:
    if "anyOf" in schema:
        kinds = [_type(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " | ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return " | ".join(str(value) or "—" for value in schema["enum"])
    return str(schema.get("type", "any"))
