"""The record: what a plan did and what came of it, left on the operator's machine as a page, Markdown and data."""

from fabfile.record.decisions import Decision, limitations, open_decisions
from fabfile.record.document import Document
from fabfile.record.shelf import Shelf

__all__ = ["Decision", "Document", "Shelf", "limitations", "open_decisions"]
