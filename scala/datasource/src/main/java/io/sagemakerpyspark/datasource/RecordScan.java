package io.sagemakerpyspark.datasource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.sql.connector.read.Batch;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.SupportsPushDownRequiredColumns;
import org.apache.spark.sql.types.StructType;

/** Reading: the columns that are asked for, and the files in parts. */
final class RecordScan implements ScanBuilder, SupportsPushDownRequiredColumns, Scan, Batch {
  private final Options options;
  private StructType schema;

  RecordScan(StructType schema, Options options) {
    this.options = options;
    this.schema = schema;
    new Columns(schema, options); // says what cannot be read before any of it is left out
    options.splitBytes();
  }

  @Override
  public void pruneColumns(StructType required) {
    // Spark would have single fields of a struct; a column here is read whole or not at all.
    StructType kept = new StructType();
    for (String name : required.fieldNames()) {
      kept = kept.add(schema.apply(name));
    }
    schema = kept;
  }

  @Override
  public Scan build() {
    return this;
  }

  @Override
  public StructType readSchema() {
    return schema;
  }

  @Override
  public String description() {
    return "sagemaker " + String.join(", ", options.paths());
  }

  @Override
  public Batch toBatch() {
    return this;
  }

  @Override
  public InputPartition[] planInputPartitions() {
    Configuration hadoop = options.hadoop();
    List<InputPartition> parts = new ArrayList<>();
    try {
      for (String path : options.paths()) {
        for (FileStatus file : Files.data(path, hadoop)) {
          add(file, parts);
        }
      }
    } catch (IOException problem) {
      throw new UncheckedIOException(problem);
    }
    return parts.toArray(new InputPartition[0]);
  }

  private void add(FileStatus file, List<InputPartition> parts) {
    String name = file.getPath().toString();
    long size = file.getLen();
    long step = FilePart.isGzip(name) || options.splitBytes() == 0 ? size : options.splitBytes();
    for (long from = 0; from < size; from += step) {
      parts.add(new FilePart(name, size, from, step));
    }
  }

  @Override
  public PartitionReaderFactory createReaderFactory() {
    return new PartReader.Factory(new Columns(schema, options), new Settings(options.hadoop()));
  }
}
