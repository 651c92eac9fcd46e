"""The bridge's tables: its ledger, and nothing else."""

import sqlalchemy as sa
from eventbus.department.ledger import ledger_table

metadata = sa.MetaData()
ledger = ledger_table(metadata)
sa.Index("ledger_created_at", ledger.c.created_at)
