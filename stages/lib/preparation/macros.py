"""Functions of columns that are compiled once, however many columns they are called for.

Ibis takes some milliseconds to compile an expression of ten operations; for a thousand columns with some expressions
each that adds up to a minute. As a macro of DuckDB the expression is compiled once, and a call of it is one operation.
"""

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

import ibis
import sqlglot.expressions as sge
from ibis.expr.datatypes import DataType
from ibis.expr.types import Column, Table, Value
from ibis.util import gen_name


class Macro:
    """An expression of columns as a function of DuckDB, defined for each combination of types that it is called for."""

    def __init__(self, build: Callable[..., Value], *, aggregates: bool = False) -> None:
        """`build` makes the expression of its columns; with `aggregates`, it is one value for all rows."""
        self.build, self.aggregates = build, aggregates
        self.functions: dict[tuple[Any, ...], Callable[..., Value]] = {}

    def __call__(self, *columns: Column) -> Any:
        key = (columns[0].get_backend(), *(column.type() for column in columns))
        if key not in self.functions:
            self.functions[key] = self._define(*key)
        return self.functions[key](*columns)

    def _define(self, connection: ibis.BaseBackend, *types: DataType) -> Callable[..., Value]:
        arguments = [f"argument{number}" for number in range(len(types))]
        table = ibis.table(dict(zip(arguments, types, strict=True)), name="arguments")
        value = self.build(*(table[argument] for argument in arguments))
        query = connection.compiler.to_sqlglot(_select(table, value, aggregates=self.aggregates))
        (expression,) = query.expressions
        # Without the name of the table, a column is an argument.
        body = expression.unalias().transform(_without_table)
        name = gen_name("macro")
        connection.raw_sql(f"CREATE MACRO {name}({', '.join(arguments)}) AS {body.sql('duckdb')}")
        return _as_ibis(name, types, value.type(), aggregates=self.aggregates)


def _as_ibis(name: str, types: Sequence[DataType], returns: DataType, *, aggregates: bool) -> Callable[..., Value]:
    def call() -> Any: ...

    # Ibis takes the arguments from the signature.
    arguments = [Parameter(f"argument{i}", Parameter.POSITIONAL_OR_KEYWORD) for i in range(len(types))]
    call.__signature__ = Signature(arguments)  # type: ignore[attr-defined]
    call.__name__ = name
    decorate = ibis.udf.agg.builtin if aggregates else ibis.udf.scalar.builtin
    return decorate(call, name=name, signature=(tuple(types), returns))


def _select(table: Table, value: Value, *, aggregates: bool) -> Table:
    return table.aggregate(value=value) if aggregates else table.select(value=value)


def _without_table(node: sge.Expression) -> sge.Expression:
    return sge.column(node.this) if isinstance(node, sge.Column) else node
