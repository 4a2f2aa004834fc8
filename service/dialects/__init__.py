"""Dialects: what callers speak to us. The same step has the same file name in each."""
