"""What all tables of the inventory have in common.

The text below a key says what it means. docs/inventory.md and the schema for editors are made of these texts.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """What all tables share: unknown keys are errors, "4000" is no number, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
