"""A summary of the sessions: their number, the period, missing values, and a fingerprint that identifies them."""

import hashlib
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stages.lib.dataset.sessions import Sessions, role_of


def summarize(sessions: Sessions) -> dict[str, Any]:
    """Counts and shares, the fingerprint and, if the sessions have a time that is a date, its `first` and `last`.

    Where sessions have a row for each of several page views, all but `sessions`, their number, describe the rows.
    """
    features, target = sessions.names("feature"), sessions.column("target")
    missing = sum(int(sessions.table[name].to_pandas().isna().sum()) for name in features)
    return {
        "rows": len(sessions),
        "purchases": int(target.sum()),
        "purchase_rate": round(float(target.mean()), 6),
        "features": len(features),
        "missing_share": round(missing / (len(sessions) * len(features)), 6),
        "fingerprint": fingerprint(sessions),
        **_period(sessions),
        **({"sessions": sessions.n_sessions} if sessions.names("view") else {}),
    }


def fingerprint(sessions: Sessions) -> str:
    """16 hex digits of the columns' names, types, roles and values, in order; they do not depend on the file format."""
    content = hashlib.sha256()
    for field in sessions.table.schema:
        content.update(repr((field.name, str(field.type), role_of(field))).encode())
        content.update(pd.util.hash_pandas_object(sessions.table[field.name].to_pandas(), index=False).to_numpy().data)
    return content.hexdigest()[:16]


def _period(sessions: Sessions) -> dict[str, str]:
    for name in sessions.names("time"):
        # A time may also be a number, whose unit is unknown.
        if pa.types.is_timestamp(sessions.table[name].type) or pa.types.is_date(sessions.table[name].type):
            period = pc.min_max(sessions.table[name]).as_py()
            return {"first": period["min"].isoformat(), "last": period["max"].isoformat()}
    return {}
