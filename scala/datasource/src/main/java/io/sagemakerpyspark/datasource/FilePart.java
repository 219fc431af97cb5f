package io.sagemakerpyspark.datasource;

import org.apache.spark.sql.connector.read.InputPartition;

/** The frames that begin in a piece of a file. */
final class FilePart implements InputPartition {
  private static final long serialVersionUID = 1L;

  final String path;
  final long size;
  final long from;
  final long step;

  FilePart(String path, long size, long from, long step) {
    this.path = path;
    this.size = size;
    this.from = from;
    this.step = step;
  }

  /** Compressed files have no places to begin at, and are read whole. */
  static boolean isGzip(String name) {
    return name.endsWith(".gz");
  }
}
