"""The tree as the box keeps it: the root of every full block of 256 leaves, and the leaves themselves below.

Appending a record touches none of this. Blocks are added when a checkpoint is signed; a root or a proof then reads one short row
for 256 leaves, and the leaves of the few blocks it has to look into.
"""

from __future__ import annotations

from sqlalchemy import Connection, LargeBinary, cast, func, insert, select

from appliance.audit.tree import Frontier, node_hash
from appliance.errors import Unavailable
from appliance.storage.tables import audit_blocks, audit_events

BLOCK_LEVEL = 8
BLOCK_LEAVES = 1 << BLOCK_LEVEL


class StoredTree:
    """Gives `tree.py` its perfect subtrees, within one snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._blocks = stored_roots(connection)
        self._upper: dict[tuple[int, int], bytes] = {}
        self._opened: tuple[int, list[bytes]] = (-1, [])

    def perfect(self, level: int, number: int) -> bytes:
        """Raises `Unavailable` (`audit.rewritten`) where leaves are missing."""
        if level < BLOCK_LEVEL:
            block, within = divmod(number << level, BLOCK_LEAVES)
            return self._folded(block, within, 1 << level)
        if level == BLOCK_LEVEL:
            return self._blocks[number] if number < len(self._blocks) else self._folded(number, 0, BLOCK_LEAVES)
        if (level, number) not in self._upper:
            left, right = self.perfect(level - 1, 2 * number), self.perfect(level - 1, 2 * number + 1)
            self._upper[level, number] = node_hash(left, right)
        return self._upper[level, number]

    def _folded(self, block: int, first: int, count: int) -> bytes:
        if self._opened[0] != block:
            self._opened = (block, block_leaves(self._connection, block))
        leaves = self._opened[1][first : first + count]
        if len(leaves) < count:
            raise rewritten()
        return leaves[0] if count == 1 else block_root(leaves)


def extend(connection: Connection, limit: int) -> bool:
    """Add the blocks that have become full, at most `limit` of them; whether there may be more."""
    number = connection.execute(select(func.coalesce(func.max(audit_blocks.c.number), -1))).scalar_one()
    for _ in range(limit):
        number += 1
        leaves = block_leaves(connection, number)
        if len(leaves) < BLOCK_LEAVES:
            return False
        connection.execute(insert(audit_blocks), {"number": number, "root": block_root(leaves)})
    return True


def block_leaves(connection: Connection, number: int) -> list[bytes]:
    """The leaf hashes of one block, as many as there are."""
    first = number * BLOCK_LEAVES + 1
    seq = audit_events.c.seq
    query = select(cast(audit_events.c.leaf_hash, LargeBinary)).where(seq.between(first, first + BLOCK_LEAVES - 1)).order_by(seq)
    return list(connection.execute(query).scalars())


def stored_roots(connection: Connection) -> list[bytes]:
    """Of the full blocks; as bytes, whatever somebody has put into the rows."""
    query = select(cast(audit_blocks.c.root, LargeBinary)).order_by(audit_blocks.c.number)
    return list(connection.execute(query).scalars())


def block_root(leaves: list[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def rewritten() -> Unavailable:
    return Unavailable(
        "The audit log is not the one its last checkpoint was signed over; nothing was signed. `cloister doctor` says more.",
        code="audit.rewritten",
    )
