"""What all tables of the inventory have in common.

The text below a key says what it means. docs/inventory.md and the schema for editors are made of these texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails


class Conflict(ValueError):
    """A key that does not fit the others of its table: its path below the table, and the whole message."""

    def __init__(self, path: tuple[str, ...], text: str) -> None:
        super().__init__(text)
        self.path = path


class Table(BaseModel):
    """What all tables share: unknown keys are errors, "4000" is no number, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def conflicts(cls, written: dict[str, Any]) -> Iterator[Conflict]:
        """What does not fit together in the table as it is written, whatever is wrong with single values."""
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, written: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Raises ValidationError with the conflicts beside what is wrong with single values: all of it at once."""
        errors = [_conflict(conflict) for conflict in cls.conflicts(written)] if isinstance(written, dict) else []
        try:
            table = handler(written)
        except ValidationError as error:
            if not errors:
                raise
            errors += [_line_error(detail) for detail in error.errors(include_url=False)]
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return table


def _conflict(conflict: Conflict) -> InitErrorDetails:
    return InitErrorDetails(type="value_error", loc=conflict.path, input=None, ctx={"error": conflict})


def _line_error(detail: ErrorDetails) -> InitErrorDetails:
    """An error of pydantic's in the form in which another ValidationError can contain it."""
    return InitErrorDetails(type=detail["type"], loc=detail["loc"], input=detail["input"], ctx=detail.get("ctx", {}))
