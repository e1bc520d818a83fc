"""The record: what a plan did and what came of it, left on the operator's machine as a page, Markdown and data."""

from fabfile.record.followups import Decision, limitations, open_decisions
from fabfile.record.model import Document
from fabfile.record.store import RecordStore

__all__ = ["Decision", "Document", "RecordStore", "limitations", "open_decisions"]
