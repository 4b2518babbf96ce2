"""Writes a column of each type that Spark has to parquet and csv: python spark_writer.py FOLDER, in its own process.

The columns of one kind are x0, x1 … of one table, in the order of TYPES.
"""

import sys
from typing import Any

CODES, GAPS, NUMBERS = (3, 1, 22), (3, None, 22), ("0.1", None, "2.5")
MOMENTS = ("2024-05-01 13:45:00", "2024-05-02 00:00:00", "2024-05-03 00:00:01")
DAYS = ("2024-05-01", "2024-05-02", "2024-12-31")
# What a column means: Spark's types for it, and its values as texts
TYPES: dict[str, tuple[tuple[str, ...], tuple[Any, ...]]] = {
    "codes": (("byte", "short", "int", "long", "float", "double", "decimal(6,2)", "string"), CODES),
    "gaps": (("int", "double", "decimal(12,1)", "string"), GAPS),
    "flags": (("boolean", "string"), ("true", "false", None)),
    "numbers": (("double", "float", "decimal(4,1)", "string"), NUMBERS),
    "moments": (("timestamp", "timestamp_ntz", "string"), MOMENTS),
    "days": (("date", "timestamp", "string"), DAYS),
}
ROWS = 40


def main(folder: str) -> None:
    from pyspark.sql import SparkSession  # here, since tests that import TYPES do not need it

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.session.timeZone", "UTC").config("spark.driver.bindAddress", "127.0.0.1")
    spark = builder.getOrCreate()
    for kind, (types, values) in TYPES.items():
        texts = [None if value is None else str(value) for value in values]
        rows = [(row, row % 9, texts[row % len(texts)], int(row % 4 == 0)) for row in range(ROWS)]
        table = spark.createDataFrame(rows, "id long, pages long, x string, buys int").coalesce(1)
        casts = (table.x.cast(type_).alias(f"x{number}") for number, type_ in enumerate(types))
        typed = table.select("id", "pages", *casts, "buys")
        typed.write.parquet(f"{folder}/{kind}.parquet")
        typed.write.csv(f"{folder}/{kind}.csv", header=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
