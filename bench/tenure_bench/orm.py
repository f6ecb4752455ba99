"""The ledger's tables as ORM classes, for the naive peer only: Tenure itself keeps no ORM objects."""

import uuid
from datetime import date
from typing import Any

from sqlalchemy import BigInteger, Identity
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Inbox(Base):
    __tablename__ = "inbox"
    event_key: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Account(Base):
    __tablename__ = "accounts"
    member_id: Mapped[str] = mapped_column(primary_key=True)
    lived_to: Mapped[date | None]
    due_on: Mapped[date | None]
    lots_no: Mapped[int]
    transfers_no: Mapped[int]
    memory: Mapped[bytes | None]
    points_pending: Mapped[int] = mapped_column(BigInteger)


class Lot(Base):
    __tablename__ = "lots"
    member_id: Mapped[str] = mapped_column(primary_key=True)
    lot_no: Mapped[int] = mapped_column(primary_key=True)
    fact: Mapped[str]
    granted: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[int] = mapped_column(BigInteger)
    base: Mapped[int] = mapped_column(BigInteger)
    earned_on: Mapped[date]
    activates_on: Mapped[date]
    expires_on: Mapped[date]
    source_id: Mapped[str]
    policy_no: Mapped[str]
    term_no: Mapped[int]
    wallet: Mapped[str] = mapped_column(default="points")
    rule: Mapped[str] = mapped_column(default="premium")
    rules_version: Mapped[int] = mapped_column(default=1)
    source_type: Mapped[str] = mapped_column(default="premium.paid")
    remembered_until: Mapped[date] = mapped_column(default=date.max)
    held: Mapped[int] = mapped_column(BigInteger, default=0)
    spent: Mapped[int] = mapped_column(BigInteger, default=0)
    reversed: Mapped[int] = mapped_column(BigInteger, default=0)
    expired: Mapped[int] = mapped_column(BigInteger, default=0)
    status: Mapped[str] = mapped_column(default="")
    status_percent: Mapped[int] = mapped_column(default=100)
    line_percent: Mapped[int] = mapped_column(default=100)
    campaign_percent: Mapped[int] = mapped_column(default=100)
    revoked: Mapped[bool] = mapped_column(default=False)
    taken: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    origin: Mapped[str] = mapped_column(default="")


class Transfer(Base):
    __tablename__ = "transfers"
    member_id: Mapped[str] = mapped_column(primary_key=True)
    transfer_no: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    lot_no: Mapped[int]
    effective: Mapped[date]
    cause: Mapped[str]
    wallet: Mapped[str] = mapped_column(default="points")
    debit: Mapped[str] = mapped_column(default="issuance")
    credit: Mapped[str] = mapped_column(default="pending")
    kind: Mapped[str] = mapped_column(default="grant")
    hold_id: Mapped[str] = mapped_column(default="")


class Outbox(Base):
    __tablename__ = "outbox"
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    records: Mapped[bytes]
    events: Mapped[int]
