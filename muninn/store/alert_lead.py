"""Who leads among alerters, as a row that has to be renewed.

Belongs here: taking, renewing and ending the lead. Does not: when that is done (operations.alerts.leading).
"""

from muninn.errors import MuninnError
from muninn.store.database import Database, Transaction


class Superseded(MuninnError):
    """Another alerter leads: what was decided here does not count."""


class Lead:
    """The lead in PostgreSQL. Methods raise Unavailable while the database is away.

    leader: a name of this process that no other one has.
    """

    def __init__(self, database: Database, leader: str, lease_s: float):
        self._database, self._leader, self._lease_s = database, leader, lease_s

    def take(self) -> int | None:
        """The term that begins; None where another one leads."""
        rows = self._database.fetch("alert_lead", leader=self._leader, lease_s=self._lease_s)
        return int(rows[0].term) if rows else None

    def renew(self, term: int) -> bool:
        """Whether it still leads, and does so for a while longer."""
        return bool(self._database.fetch("alert_lead_on", term=term, leader=self._leader, lease_s=self._lease_s))

    def end(self, term: int) -> None:
        """Let another one take it at once."""
        self._database.execute("alert_lead_end", term=term, leader=self._leader)


def check(transaction: Transaction, term: int) -> None:
    """Return where this term counts until the transaction ends; Superseded where it is over."""
    if not transaction.fetch("alert_lead_holds", term=term):
        raise Superseded("another alerter has taken the lead")
