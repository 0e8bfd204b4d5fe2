"""How far the indexes of vectors are, for those who run the box: counts only, no document is named."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.retrieval.indexes import IndexState, all_indexes


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """One index: its model, and how much of what people can search it holds. `passages_per_s` is 0 where nothing was embedded.

    `against` says why it does not take over although it holds everything; an `unconditional` one does, whatever golden sets say.
    """

    number: int
    model_id: str
    sha256: str
    dimensions: int
    state: IndexState
    complete: bool
    begun_ms: int
    documents: int
    documents_done: int
    passages: int
    passages_done: int
    passages_per_s: float
    against: str
    unconditional: bool

    @property
    def percent(self) -> int:
        """Rounded down: 100 is said of nothing that is not finished."""
        return 100 if self.complete or self.against else min(99, 100 * self.passages_done // max(1, self.passages))

    @property
    def sentence(self) -> str:
        """For people."""
        model = self.model_id or "a model that was not recorded"
        if self.state is IndexState.LEAVING:
            return f"the vectors of {model} are being removed"
        if self.state is IndexState.BUILDING and self.against:
            return (
                f"{model} has embedded all {self.passages:,} passages and does not take over: {self.against} "
                "Questions are answered with the present model"
            )
        if self.state is IndexState.BUILDING and self.documents and self.documents_done == self.documents:
            when = "in a moment" if self.unconditional else "once the required golden sets were asked"
            return f"{model} has embedded all {self.passages:,} passages and takes over {when}"
        if self.state is IndexState.BUILDING:
            speed = f", {self.passages_per_s:.0f} passages a second" if self.passages_per_s else ""
            return (
                f"{model} is embedding the documents while the box runs: {self.passages_done:,} of {self.passages:,} passages, "
                f"{self.percent} %{speed}; questions are answered with the present model until then"
            )
        indexed = f"indexed with {model}, {self.dimensions} dimensions, {self.passages:,} passages"
        waiting = self.documents - self.documents_done
        return indexed if self.complete else f"{indexed}; {waiting:,} documents are brought up to date in the background"


def progress(connection: Connection) -> list[IndexProgress]:
    """Every index, the serving one first."""
    documents, passages = connection.exec_driver_sql(
        "SELECT count(*), coalesce(sum(chunk_count), 0) FROM documents WHERE status = 'READY' AND chunk_count > 0"
    ).one()
    done = {
        row[0]: (row[1], row[2])
        for row in connection.exec_driver_sql(
            "SELECT index_number, count(*), coalesce(sum(chunk_count), 0) FROM search_indexed "
            "JOIN documents ON documents.id = document_id WHERE status = 'READY' GROUP BY index_number"
        )
    }
    found = []
    for index in all_indexes(connection):
        documents_done, passages_done = done.get(index.number, (0, 0))
        found.append(
            IndexProgress(
                number=index.number,
                model_id=index.model_id,
                sha256=index.sha256,
                dimensions=index.dimensions,
                state=index.state,
                complete=index.complete,
                begun_ms=index.begun_ms,
                documents=documents,
                documents_done=documents_done,
                passages=passages,
                passages_done=min(passages, passages_done + index.document_done),
                passages_per_s=index.passages_per_s,
                against=index.against if documents_done == documents else "",
                unconditional=index.unconditional,
            )
        )
    return sorted(found, key=lambda index: (index.state is not IndexState.SERVING, index.number))
