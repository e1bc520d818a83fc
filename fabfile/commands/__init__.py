"""What a task does around its plan or check: connect, survey, apply, follow, show."""
