"""What is wrong with an inventory, in the operator's words: where it stands and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fabfile.inventory import paths
from fabfile.inventory.base import Conflict
from fabfile.inventory.model import Site


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and the path of the key where it is."""

    path: paths.Path
    text: str


MISSING: Final = "is missing"
"""What the model says of a key that must be there; a check may know more about it."""

_WRONG_TYPE: Final[Mapping[str, str]] = {
    "int_type": "a whole number is needed",
    "float_type": "a number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text in quotes is needed",
    "path_type": "text in quotes is needed",
    "is_instance_of": "text in quotes is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a table is needed",
    "mapping_type": "a table is needed",
    "model_type": "a table is needed",
    "model_attributes_type": "a table is needed",
}


def from_model(error: ValidationError, raw: dict[str, Any]) -> Iterator[Problem]:
    """The model's complaints; `raw` is what was written, for the values that are shown."""
    for detail in error.errors(include_url=False):
        path = detail["loc"]
        written = paths.get(raw, path)
        yield Problem(path, _text(detail, detail["input"] if written is None else written))


def unknown_key(path: paths.Path, known: Iterable[str]) -> Problem:
    """A key that is not one of `known`, with the nearest one or all of them."""
    names = list(known)
    near = difflib.get_close_matches(str(path[-1]), names, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(names)}"
    return Problem(path, f"unknown key; {hint}")


def known_keys(path: paths.Path) -> list[str]:
    """The keys that may stand in the table at `path`; an entry's `name` may not, it is the table's own."""
    kind: Any = Site
    for key in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = _needed(kind.model_fields[str(key)].annotation)
        elif get_origin(kind) is not None:
            kind = get_args(kind)[-1]
    fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    return [name for name in fields if name != "name" or kind.__name__ == "App"]


def _needed(annotation: Any) -> Any:
    """The type of a value that may be left out, as it is when it is there."""
    kinds = get_args(annotation)
    return kinds[0] if len(kinds) == 2 and kinds[1] is type(None) else annotation


def _text(detail: ErrorDetails, value: object) -> str:
    kind = detail["type"]
    if kind == "missing":
        return MISSING
    if kind == "extra_forbidden":
        return unknown_key(detail["loc"], known_keys(detail["loc"][:-1])).text
    if kind == "value_error":
        if isinstance(detail["ctx"]["error"], Conflict):
            return str(detail["ctx"]["error"])
        return f"{paths.quote(value)} {detail['ctx']['error']}"
    if kind == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{paths.quote(value)} is none of: {choices}"
    if kind in _WRONG_TYPE:
        return f"{_described(value)}, and {_WRONG_TYPE[kind]}"
    return f"{paths.quote(value)}: {detail['msg']}"


def _described(value: object) -> str:
    """A value of the wrong type, as in: "4000" is text."""
    if isinstance(value, bool):
        kind = "true or false"
    elif isinstance(value, str):
        kind = "text"
    elif isinstance(value, int):
        kind = "a number"
    elif isinstance(value, float):
        kind = "a number with a point"
    elif isinstance(value, (dict, list, tuple)):
        return f"is {paths.quote(value)}"
    else:
        kind = "a date or time"
    return f"{paths.quote(value)} is {kind}"
