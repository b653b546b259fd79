"""The tables of the vote store. Times are seconds since 1970, UTC."""

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

tables = MetaData()

meta = Table(
    "listening_test",
    tables,
    Column("id", Integer, primary_key=True, doc="Always 1: a database holds one test."),
    Column("test", String(64), nullable=False),
    Column("schema", Integer, nullable=False),
)

raters = Table(
    "raters",
    tables,
    Column("id", Integer, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),
    Column("code", String(16), nullable=False, doc="Completion code."),
    Column("created_at", Float, nullable=False),
    Column("consented_at", Float, doc="Start of the session; trials are planned then."),
    Column("language", String(8)),
    Column("headphones", String(16), doc="Result of the left/right check: ok, swapped, both or skipped."),
)

arrivals = Table(
    "arrivals",
    tables,
    Column("rater", ForeignKey("raters.id"), primary_key=True, doc="Who came by the open link."),
    Column("participant", String(64), unique=True, doc="Id that the crowd-sourcing site gave them."),
    Column("study", String(64)),
    Column("session", String(64), doc="Of the last arrival, as the next one."),
    Column("arrived_at", Float, nullable=False),
)
"""A table of its own, so that a store made before there was one needs nothing but it."""

trials = Table(
    "trials",
    tables,
    Column("id", Integer, primary_key=True),
    Column("rater", ForeignKey("raters.id"), nullable=False),
    Column("position", Integer, nullable=False, doc="Presented order; settled once the trial is answered."),
    Column("kind", String(16), nullable=False),
    Column("item", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("reference", String(32)),
    Column("expected", JSON(none_as_null=True)),
    Index("trials_of_rater", "rater", "position"),
)

samples = Table(
    "samples",
    tables,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("slot", String(1), primary_key=True),
    Column("system", Text, nullable=False),
    Column("audio", String(32), nullable=False),
)

votes = Table(
    "votes",
    tables,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("slot", String(1), primary_key=True),
    Column("score", Float, nullable=False),
    Column("plays", Integer, nullable=False),
    Column("reference_plays", Integer, nullable=False),
    Column("seconds", Float, nullable=False, doc="From showing the trial to the answer."),
    Column("shown_at", Float, nullable=False, doc="On the rater's clock."),
    Column("answered_at", Float, nullable=False, doc="On the rater's clock."),
    Column("stored_at", Float, nullable=False, doc="On the server's clock."),
    Column("labels", JSON, nullable=False),
    Column("marks", JSON, nullable=False),
)
