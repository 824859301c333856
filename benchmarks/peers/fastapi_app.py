"""FastAPI application as many people write it: the official validator, SQLAlchemy on aiosqlite, one
commit per request. WAL and an index on the SID, as a careful author would have them."""

import os

from fastapi import FastAPI, Request, Response
from sqlalchemy import String, event, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from twilio.request_validator import RequestValidator

URL = os.environ["BENCH_URL"]
validator = RequestValidator(os.environ["BENCH_TOKEN"])
engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_DIR']}/fastapi.db")


@event.listens_for(engine.sync_engine, "connect")
def _durable(connection, _):
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


class Base(DeclarativeBase):
    pass


class Webhook(Base):
    __tablename__ = "webhooks"
    id: Mapped[int] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(String(34), index=True)
    status: Mapped[str] = mapped_column(String(20))
    body: Mapped[str]


sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


@app.on_event("startup")
async def create():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(text("select 1"))


@app.post("/twilio/message/status")
async def status(request: Request):
    body = (await request.body()).decode()
    form = await request.form()
    if not validator.validate(URL, form, request.headers.get("x-twilio-signature", "")):
        return Response(status_code=403)
    async with sessions() as session:
        session.add(
            Webhook(
                sid=form["MessageSid"],
                status=form["MessageStatus"],
                body=body,
            )
        )
        await session.commit()
    return Response(status_code=204)
