"""What Alembic runs; the connection and its transaction are the caller's."""

from alembic import context
from sqlmodel import SQLModel

import gateway.models  # noqa: F401  (fills SQLModel.metadata)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
context.run_migrations()
