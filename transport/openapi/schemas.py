"""From the shapes of `protocol/` and the parameters of commands to JSON Schema (2020-12), as OpenAPI 3.1 takes it."""

from collections.abc import Iterable
from typing import Any

import msgspec

Schema = dict[str, Any]

_AT = "#/components/schemas/{name}"


def reply_schemas(shapes: Iterable[type[msgspec.Struct]], *, strict: bool) -> dict[str, Schema]:
    """Components of what the server says. Clients ignore what they do not know, so more fields may come unless `strict`."""
    _, components = msgspec.json.schema_components(dict.fromkeys(shapes), ref_template=_AT)
    if not strict:
        for schema in components.values():
            schema.pop("additionalProperties", None)
    return components


def param_schemas(params: Iterable[type[msgspec.Struct]], taken: Iterable[str]) -> tuple[dict[type[msgspec.Struct], Schema], dict[str, Schema]]:
    """The schema of each set of parameters, and components that these need; names that are `taken` get `Given` behind them."""
    kinds = list(dict.fromkeys(params))
    own: dict[type[msgspec.Struct], Schema] = {}
    others: dict[str, Schema] = {}
    for kind in kinds:  # one by one: two services may call different parameters the same
        (root,), components = msgspec.json.schema_components([kind], ref_template=_AT)
        own[kind] = components.pop(root["$ref"].rpartition("/")[2])
        if clash := [name for name, schema in components.items() if others.get(name, schema) != schema]:
            raise ValueError(f"several shapes are called {', '.join(clash)}")
        others |= components
    renamed = {name: name + "Given" for name in others if name in set(taken)}
    return ({kind: _renamed(schema, renamed) for kind, schema in own.items()},
            {renamed.get(name, name): {**_renamed(schema, renamed), "title": renamed.get(name, name)} for name, schema in others.items()})


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The same with references to the new names."""
    if isinstance(schema, dict):
        return {key: _AT.format(name=names.get(name, name)) if key == "$ref" and (name := value.rpartition("/")[2]) else _renamed(value, names)
                for key, value in schema.items()}
    return [_renamed(item, names) for item in schema] if isinstance(schema, list) else schema
