"""The record of a plan: its steps and results, kept on the operator's machine as a page, Markdown and data."""

from fabfile.record.followups import Decision, limitations, open_decisions
from fabfile.record.model import Document, HookRun
from fabfile.record.store import RecordStore

__all__ = ["Decision", "Document", "HookRun", "RecordStore", "limitations", "open_decisions"]
