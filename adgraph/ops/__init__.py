"""Which ops exist: one block each, with evaluation, types, derivatives, batching and code."""
