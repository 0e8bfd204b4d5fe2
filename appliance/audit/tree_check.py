"""Compares every checkpoint and every block with the leaves that are there, from inside the box."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from appliance.audit.blocks import BLOCK_LEAVES, block_leaves, block_root, stored_roots
from appliance.audit.notes import Checkpoint, Verifier, open_checkpoint
from appliance.audit.tree import Frontier
from appliance.storage.tables import audit_checkpoints


@dataclass(frozen=True, slots=True)
class TreeCheck:
    """How many checkpoints were compared, size of the last, how many leaves came after it; `fault` is empty where all hold."""

    checkpoints: int = 0
    size: int = 0
    after: int = 0
    fault: str = ""


def check_tree(connection: Connection, verifier: Verifier) -> TreeCheck:
    """Walk over all leaf hashes once."""
    signed = []
    for row in connection.execute(select(audit_checkpoints).order_by(audit_checkpoints.c.size)):
        try:
            signed.append(open_checkpoint(row.note, verifier))
        except ValueError as error:
            return TreeCheck(fault=f"the checkpoint over {row.size} entries was altered: {error}")
        if signed[-1].size != row.size:
            return TreeCheck(fault=f"the checkpoint over {row.size} entries is that of {signed[-1].size}")
    blocks = stored_roots(connection)
    return _walk(connection, signed, blocks)


def _walk(connection: Connection, signed: list[Checkpoint], blocks: list[bytes]) -> TreeCheck:
    frontier, waiting, number = Frontier(), signed[::-1], 0
    while leaves := block_leaves(connection, number):
        for leaf in leaves:
            frontier.append(leaf)
            if waiting and waiting[-1].size == frontier.size and waiting.pop().root != frontier.root():
                return TreeCheck(fault=f"the first {frontier.size} entries are not those that a checkpoint was signed over")
        if number < len(blocks) and (len(leaves) < BLOCK_LEAVES or block_root(leaves) != blocks[number]):
            return TreeCheck(fault=f"the tree says other than the entries from {number * BLOCK_LEAVES + 1} on")
        number += 1
    if waiting or number < len(blocks):
        size = waiting[0].size if waiting else len(blocks) * BLOCK_LEAVES
        return TreeCheck(fault=f"there are {frontier.size} entries, and a checkpoint was signed over {size}")
    last = signed[-1].size if signed else 0
    return TreeCheck(len(signed), last, frontier.size - last)
