"""Users as executions know them: by name, and by id since ids are recorded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class UserRef(BaseModel):
    """A user, such as one who has edited a document."""

    model_config = ConfigDict(frozen=True)

    name: str
    id: int | None = None  # None: it was not recorded

    def is_same(self, other: UserRef) -> bool:
        """Return whether this is the other user. Names can change, so ids count where both are known."""
        if self.id is not None and other.id is not None:
            return self.id == other.id
        return self.name == other.name
