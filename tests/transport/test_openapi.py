"""`/openapi.json` says all that is served, and only that; what it shows as an example is one."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.commands import Command
from tests.actors.world import World, open_world
from tests.fitting import misfit
from transport.openapi.routes import of_command
from transport.rest import make_app

SAYS_SOMETHING = {"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const", "pattern", "minLength"}
PARAMETER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world("w1", users=()) as made:
        yield made


@pytest.fixture
def table(world: World, autojump_clock: object) -> dict[str, Command]:
    return world.workers["w1"].assembly.table


@pytest.fixture
def app(world: World, autojump_clock: object) -> Any:
    dispatch = world.workers["w1"].assembly.dispatch
    return make_app(dispatch, None, ids=world.sim.ids, ready=lambda: True, metrics=lambda: b"", dev=True)  # type: ignore[arg-type]  # nobody asks


@pytest.fixture
async def document(app: Any) -> dict[str, Any]:
    response = await app.test_client().get("/openapi.json")
    assert (response.status_code, response.content_type) == (200, "application/json")
    return dict(json.loads(await response.get_data()))


def as_written(rule: str) -> str:
    """A rule of Quart's as OpenAPI has it."""
    return PARAMETER.sub(r"{\1}", rule)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def schemas(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema of the document, with where it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("example", "examples", "enum"):
                continue
            if key in ("schema", "items", "additionalProperties", "propertyNames"):
                yield f"{path}/{key}", inner
            if key in ("properties", "schemas"):
                yield from ((f"{path}/{key}/{name}", schema) for name, schema in inner.items())
            if key in ("anyOf", "allOf", "oneOf"):
                yield from ((f"{path}/{key}/{place}", schema) for place, schema in enumerate(inner))
            yield from schemas(inner, f"{path}/{key}")
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from schemas(inner, f"{path}/{place}")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(document: dict[str, Any], reference: str) -> Any:
    value: Any = document
    for step in reference.removeprefix("#/").split("/"):
        value = value[step]
    return value


async def test_every_route_is_documented_and_no_other(app: Any, document: dict[str, Any]) -> None:
    served = {f"{method} {as_written(rule.rule)}" for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}
    assert served == {name for name, _ in operations(document)}


async def test_it_is_openapi(document: dict[str, Any]) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert {tag for _, operation in operations(document) for tag in operation["tags"]} == {tag["name"] for tag in document["tags"]}


async def test_no_schema_is_empty(document: dict[str, Any]) -> None:
    empty = [path for path, schema in schemas(document) if not isinstance(schema, dict) or not SAYS_SOMETHING & schema.keys()]
    assert empty == []


async def test_no_reference_dangles_and_no_component_is_idle(document: dict[str, Any]) -> None:
    used = set(references(document))
    for reference in used:
        assert resolved(document, reference)
    there = {f"#/components/{kind}/{name}" for kind, named in document["components"].items() if kind != "securitySchemes" for name in named}
    assert there == used


async def test_all_that_is_said_has_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        shown = list(examples(document, operation))
        assert shown or "get" not in name, name
        for where, schema, example in shown:
            checker = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
            assert [f"{name} {where}: {error.message}" for error in checker.iter_errors(example)] == []


def examples(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    for parameter in operation["parameters"]:
        found = resolved(document, parameter["$ref"]) if "$ref" in parameter else parameter
        if "example" in found:
            yield found["name"], found["schema"], found["example"]
    contents = [("request", operation["requestBody"]["content"])] if "requestBody" in operation else []
    contents += [(status, response["content"]) for status, response in operation["responses"].items()]
    for where, content in contents:
        for media, held in content.items():
            if "json" not in media or held["schema"] == {"type": "object"}:
                continue
            assert "example" in held or "examples" in held, f"{operation['operationId']} {where} has no example"
            referred = [resolved(document, one["$ref"])["value"] for one in held.get("examples", {}).values()]
            for example in [held["example"]] if "example" in held else referred:
                yield where, held["schema"], example


async def test_every_command_has_an_example_that_its_shapes_take(table: dict[str, Command]) -> None:
    for name, row in table.items():
        example = of_command(row).example
        assert example is not None, f"{name} has no example in protocol/examples.py"
        assert row.answers is not None
        assert [misfit(example.p, row.params), misfit(example.r, row.answers)] == ["", ""], name


async def test_every_integer_that_may_be_said_has_its_bounds(table: dict[str, Command]) -> None:
    """A query's integers are not looked at by the codec: one beyond 2^53 must be refused by its shape."""
    _, components = msgspec.json.schema_components([row.params for row in table.values()])
    unbounded = [path for path, schema in schemas(components) if schema.get("type") == "integer" and not {"minimum", "maximum"} <= schema.keys()]
    assert unbounded == []
