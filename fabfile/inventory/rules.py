"""What a value of the inventory must fulfil, said once for the check and once for the schema that editors read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

REDIS_SETTINGS = {
    "databases": r"[1-9][0-9]{0,4}",
    "maxmemory": r"[0-9]{1,18}(?:[kmg]b?)?",
    "maxmemory-policy": "noeviction|(?:allkeys|volatile)-(?:lru|lfu|random)|volatile-ttl",
    "notify-keyspace-events": r"[AKEg$lshzxetdmn]*",
}
"""Settings of Redis that an app may depend on, and the values that they may have."""


def text(value: str) -> str:
    """The text itself. Raises ValueError where it is empty or not one line."""
    if not value.strip():
        raise ValueError("must not be empty")
    return one_line(value)


def one_line(value: str) -> str:
    """The text itself. Raises ValueError where it holds a line break or anything that does not show."""
    if any(not char.isprintable() for char in value):
        raise ValueError("must not hold a line break or another invisible character")
    return value


def redis_settings(value: Mapping[str, str]) -> Mapping[str, str]:
    """The settings themselves. Raises ValueError for others than REDIS_SETTINGS, and other values."""
    for name, setting in value.items():
        if name not in REDIS_SETTINGS:
            raise ValueError(f"holds {name!r}: only {', '.join(REDIS_SETTINGS)} can be set here")
        if not re.fullmatch(REDIS_SETTINGS[name], setting, re.ASCII):
            raise ValueError(f"has {setting!r} for {name}, which Redis would refuse")
    return value


def titled(rule: str) -> JsonSchemaValue:
    """What an editor shows of a value: the noun in what is said where it is wrong."""
    return {"title": re.sub(r"^is not (an? |the )?", "", rule).replace(", nor ", ", or ")}


@dataclass(frozen=True)
class Matching:
    """The whole text matches `pattern`; `rule` says in words what it may hold."""

    pattern: str
    rule: str

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, text(value), re.ASCII):
            raise ValueError(self.rule)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), **titled(self.rule), "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class Within:
    """A number from `least` to `most`; `rule` says so in words. With `above` it must be more than `least`."""

    least: int
    most: int
    rule: str
    above: bool = False

    def _check(self, value: float) -> float:
        if not self.least <= value <= self.most or (self.above and value == self.least):
            raise ValueError(self.rule)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        least = "exclusiveMinimum" if self.above else "minimum"
        return {**handler(schema), **titled(self.rule), least: self.least, "maximum": self.most}
