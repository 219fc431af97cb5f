"""The engine inside each Spark worker: records in, answers out, several requests in flight. No Spark, no AWS."""
