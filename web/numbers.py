"""Numbers that come with an address, held to what the database can hold and a browser counts exactly."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from litestar.params import PathParameter, QueryParameter

_MOST = 2**53

QueryNumber: TypeAlias = Annotated[int, QueryParameter(ge=0, le=_MOST)]
OptionalNumber: TypeAlias = Annotated[int | None, QueryParameter(ge=0, le=_MOST)]
PathNumber: TypeAlias = Annotated[int, PathParameter(ge=0, le=_MOST)]
