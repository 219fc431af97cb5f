"""Codecs: rows to bytes and bytes to rows. Pure: no Spark, no AWS, no I/O."""
