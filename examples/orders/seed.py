"""Puts goods in the stock: ``plldb dev`` runs it after each deployment."""

from __future__ import annotations

import os

import boto3

STOCK = {"BOOK": 10, "PEN": 100, "GLOBE": 0}


def main() -> None:
    table = boto3.resource("dynamodb").Table(os.environ["PLLDB_OUTPUT_StockTable"])  # noqa: SIM112
    for sku, available in STOCK.items():
        table.put_item(Item={"sku": sku, "available": available})


if __name__ == "__main__":
    main()
