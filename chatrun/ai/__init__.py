"""The step loop: a model, its tools, its approvals."""
