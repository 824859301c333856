"""Lists of what people did, with what was refused to them, the newest first."""

from ringback.store.connection import first_since
from ringback.store.operations.rule_states import ALL, RuleState
from ringback.store.queries.files import Row, loads
from ringback.store.queries.rule_counts import RuleActivity


class DoingLists(RuleActivity):
    """The audit trail by what people look for."""

    def doings(
        self, *, who: str = "", op: str = "", subject: str = "", outcome: str = "",
        since: str = "", before: int = 0, limit: int = 50,
    ) -> list[Row]:  # fmt: skip
        """What was done, the newest first: by whom, which operation, about what, with what outcome;
        since then (a stored time), in rows before that one."""
        given = {"subject": subject, "op": op, "who": who, "outcome": outcome}
        wanted = {name: value for name, value in given.items() if value}
        # One index finds them, that of the rarest; a plus keeps SQLite from the others.
        clauses = [f"{'+' if place else ''}{name} = ?" for place, name in enumerate(wanted)]
        values: list[object] = list(wanted.values())
        if since:
            clauses += ["id >= ?", "at >= ?"]
            values += [first_since(self._connection, "doings", "at", since), since]
        if before:
            clauses.append("id < ?")
            values.append(before)
        rows = self._all(
            f"select * from doings where {' and '.join(clauses) or 'true'} "
            "order by id desc limit ?",
            (*values, limit),
        )
        for row in rows:
            row["wanted"], row["answer"] = loads(row["wanted"], {}), loads(row["answer"], {})
        return rows

    def doing(self, uid: str) -> Row | None:
        """One of them."""
        row = self._one("select * from doings where uid = ?", (uid,))
        if row is not None:
            row["wanted"], row["answer"] = loads(row["wanted"], {}), loads(row["answer"], {})
        return row

    def switched(self) -> Row | None:
        """The last time that a person held every effect or let it out; None when nobody has."""
        rows = self._all(
            "select * from doings where op in ('pause', 'resume') and +outcome = 'done' "
            "order by id desc limit 1"
        )
        return rows[0] if rows else None

    def rule_states(self) -> dict[str, RuleState]:
        """The states that people gave to rules, by rule; some may have come to their end."""
        return {row["name"]: RuleState(**row) for row in self._all(ALL)}
