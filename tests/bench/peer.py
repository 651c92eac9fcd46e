"""What `bench_post_orders.py` compares the gateway with: a good service of the usual kind.

FastAPI with pydantic models, SQLAlchemy's async ORM, an outbox, one commit per request. `DATABASE_URL` names an async
driver: `postgresql+psycopg://…` or `sqlite+aiosqlite:///…`.
"""

import json
import os
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

URL = os.environ["DATABASE_URL"]
SQLITE = URL.startswith("sqlite")
# SQLite has one writer at a time: one connection saves the waits for its lock. No overflow on PostgreSQL: connections
# beyond the pool are opened and closed again for each order.
engine = create_async_engine(URL, pool_size=1 if SQLITE else 40, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "peer_orders"
    number: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    customer_name: Mapped[str]
    product_ids: Mapped[str]
    region: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


class Outbox(Base):
    __tablename__ = "peer_outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    routing_key: Mapped[str]
    event_id: Mapped[str]
    body: Mapped[bytes]


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")
    customer_name: Annotated[str, Field(min_length=1, max_length=200)]
    product_ids: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=500)]
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = "main"


class Placed(NewOrder):
    order_number: str
    status: str
    created_at: datetime


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        if SQLITE:
            await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"database": "up"}


@app.post("/orders", status_code=201)
async def place_order(order: NewOrder, session: Annotated[AsyncSession, Depends(session)]) -> Placed:
    number, now = secrets.token_hex(6), datetime.now(UTC)
    event = {"id": str(uuid.uuid4()), "type": "order.created", "data": order.model_dump() | {"order_number": number}}
    session.add(
        Order(
            number=number,
            customer_name=order.customer_name,
            product_ids=json.dumps(order.product_ids),
            region=order.region,
            created_at=now,
        )
    )
    session.add(
        Outbox(routing_key=f"order.created.{order.region}", event_id=str(event["id"]), body=json.dumps(event).encode())
    )
    await session.commit()
    return Placed(**order.model_dump(), order_number=number, status="received", created_at=now)
