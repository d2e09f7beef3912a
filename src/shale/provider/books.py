"""Books: the provider's tables, as the migrations make them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

leases = Table(
    "leases",
    metadata,
    Column("lease_id", String(64), primary_key=True),
    Column("order_hash", String(66), nullable=False),
    Column("order_json", Text, nullable=False),
    Column("order_signature", Text, nullable=False),
    Column("mount", String(256), nullable=False),
    Column("host_key", Text, nullable=False),
    Column("acceptance_deadline", BigInteger, nullable=False),
    Column("acceptance_signature", Text, nullable=False),
    Column("confirmation_json", Text, nullable=False, default=""),
    Column("confirmation_signature", Text, nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False, default=0),
    Column("served", Float, nullable=False, default=0.0),
    # Amounts are decimal text: they exceed 64 bits, and a float would lose money.
    Column("paid", String(32), nullable=False, default="0"),
    Column("seconds", BigInteger, nullable=False, default=0),
    Column("voucher_signature", Text, nullable=False, default=""),
    Column("end_reason", Integer, nullable=False, default=0),
    Column("ended_at", BigInteger, nullable=False, default=0),
    Column("anchor_tx", String(66), nullable=False, default=""),
    Column("end_anchored", Boolean, nullable=False, default=False),
    # By how much the client has topped its lease up.
    Column("extra_seconds", BigInteger, nullable=False, default=0),
    # The seconds that the deposit is good for whatever the chain takes back, and the highest voucher within them.
    Column("sure_max", BigInteger, nullable=False, default=0),
    Column("sure_seconds", BigInteger, nullable=False, default=0),
    Column("sure_signature", Text, nullable=False, default=""),
    # The block in which we saw that somebody else had closed it; 0 otherwise.
    Column("closed_block", BigInteger, nullable=False, default=0),
    # What the ledger says was paid for it when somebody else closed it; empty otherwise.
    Column("closed_paid", String(32), nullable=False, default=""),
)

# What each copy of a dataset is: one root may lie here more than once, in other places or cut into other pieces.
copies = Table(
    "copies",
    metadata,
    Column("root", String(128), primary_key=True),
    Column("copy", Integer, primary_key=True, autoincrement=False),
    # The piece that holds the root block.
    Column("piece", String(128), nullable=False),
    Column("name", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("entries", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    # What a signed manifest says of it; all empty without one.
    Column("description", Text, nullable=False, default=""),
    Column("licence", String(128), nullable=False, default=""),
    Column("signer", String(42), nullable=False, default=""),
    # When the commitments of its pieces were last computed and matched, and all their blocks were hashed.
    Column("checked_at", BigInteger, nullable=False, default=0),
    Column("blocks_at", BigInteger, nullable=False, default=0),
    # What a mount or a check found wrong; empty: nothing. Only a check that began after it clears it.
    Column("fault", Text, nullable=False, default=""),
    Column("fault_at", BigInteger, nullable=False, default=0),
    # How many faults were noted ever: a check sees by it that one came while it read.
    Column("faults", BigInteger, nullable=False, default=0),
)

pieces = Table(
    "copy_pieces",
    metadata,
    Column("root", String(128), primary_key=True),
    Column("copy", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # The source's text (docs/guide/datasets.md), and what it was like when it was checked: size, time, ETag.
    Column("source", Text, nullable=False),
    Column("stamp", Text, nullable=False, default=""),
    Column("piece", String(128), nullable=False),
    Column("raw_size", BigInteger, nullable=False, default=0),
    Column("padded_size", BigInteger, nullable=False, default=0),
    # The verified claim; without one all three are null.
    Column("claim", BigInteger, nullable=True),
    Column("sector", BigInteger, nullable=True),
    Column("term_end", BigInteger, nullable=True),
    # Why it can't be read at the moment; empty: it can.
    Column("unreadable", Text, nullable=False, default=""),
)

dataset_files = Table(
    "dataset_files",
    metadata,
    Column("root", String(128), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    # The path without its case: what a search compares, alike on every database.
    Column("folded", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
)

tree_leaves = Table(
    "tree_leaves",
    metadata,
    Column("leaf_index", Integer, primary_key=True, autoincrement=False),
    Column("lease_id", String(64), nullable=False),
    Column("key_x", String(66), nullable=False),
    Column("key_y", String(66), nullable=False),
    Column("amount", String(32), nullable=False),
    Column("seconds", BigInteger, nullable=False),
)

settlements = Table(
    "settlements",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    # proven, posting, mined, final; or dropped, refused (settlement.py).
    Column("state", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("old_root", String(66), nullable=False),
    Column("new_root", String(66), nullable=False),
    Column("size", Integer, nullable=False, default=8),
    Column("leaf_window", BigInteger, nullable=False, default=0),
    Column("tx", String(66), nullable=False, default=""),
    Column("block", BigInteger, nullable=False, default=0),
    Column("gas", BigInteger, nullable=False, default=0),
    Column("fee", String(32), nullable=False, default="0"),
    Column("settled_at", BigInteger, nullable=False, default=0),
    Column("constraints", BigInteger, nullable=False, default=0),
    Column("witness_millis", BigInteger, nullable=False, default=0),
    Column("prove_millis", BigInteger, nullable=False, default=0),
    Column("earned", String(32), nullable=False, default="0"),
    Column("refunded", String(32), nullable=False, default="0"),
    # The operations and the proof as JSON: a batch that was proven is never proven again.
    Column("operations", Text, nullable=False),
    Column("proof", Text, nullable=False, default=""),
)

postings = Table(
    "postings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    # Each transaction that the provider paid for: open, accept, settle, refund, collect. `amount` is what a collect
    # brought in.
    Column("kind", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("tx", String(66), nullable=False),
    Column("block", BigInteger, nullable=False),
    Column("gas", BigInteger, nullable=False),
    Column("fee", String(32), nullable=False),
    Column("amount", String(32), nullable=False, default="0"),
)
