"""HTML reference of the API, made from its OpenAPI document; it needs no other server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_prep.report import Page


def reference_page(openapi: Mapping[str, Any]) -> str:
    """The page as HTML.

    Args:
        openapi: the document that FastAPI makes.
    """
    page = Page(
        f"{openapi['info']['title']} {openapi['info']['version']}",
        "Every endpoint of this server. /openapi.json is the same for programs.",
    )
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            page.heading(f"{method.upper()} {path}").paragraph(f"{operation['summary']}.")
            body = operation.get("requestBody", {}).get("description")
            if body:
                page.paragraph(f"Body: {body.replace('`', '')}")
            rows = [_row(parameter) for parameter in operation.get("parameters", ())]
            if rows:
                page.table(["parameter", "type", "default", "meaning"], rows)
    return page.html()


def _row(parameter: Mapping[str, Any]) -> list[str]:
    schema = parameter["schema"]
    # A parameter that may be missing is a choice between its type and null.
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    kind = " | ".join(map(str, kinds[0]["enum"])) if "enum" in kinds[0] else kinds[0].get("type", "")
    default = schema.get("default", "required" if parameter.get("required") else "")
    return [parameter["name"], kind, str(default), parameter.get("description", "")]
