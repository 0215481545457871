"""An order: what a message has to say to be one, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

# An order's id also names the execution that fulfils it, of at most 80 characters.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Sku = Annotated[str, Field(pattern=r"^[A-Z0-9-]{1,32}$")]

# One action of a transaction is the order's own.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_MOST_LINES = 99


class Status(StrEnum):
    """PLACED becomes RESERVED, then SHIPPED; or it becomes REJECTED, where goods are missing."""

    PLACED = "PLACED"
    RESERVED = "RESERVED"
    SHIPPED = "SHIPPED"
    REJECTED = "REJECTED"


class _Model(BaseModel):
    """In JSON, names are in camel case. What is wrong gets into logs, without what was said."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Line(_Model):
    sku: Sku
    quantity: int = Field(ge=1, le=1000)
    unit_price: int = Field(ge=0, description="in cents")


class Order(_Model):
    order_id: OrderId
    customer: str = Field(min_length=1, max_length=200)
    lines: tuple[Line, ...] = Field(min_length=1, max_length=_MOST_LINES)

    @field_validator("lines")
    @classmethod
    def _name_goods_once(cls, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        """A transaction can't change an item twice."""
        if len({line.sku for line in lines}) < len(lines):
            raise ValueError("the same goods stand in several lines")
        return lines

    @property
    def total(self) -> int:
        """In cents."""
        return sum(line.quantity * line.unit_price for line in self.lines)
