package io.sagemakerpyspark.datasource;

import java.util.Map;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;

/**
 * {@code spark.read.format("io.sagemakerpyspark.datasource.SageMaker").load(path)}: files of RecordIO-protobuf as DataFrames, and
 * back. scala/README.md has the options.
 */
public final class SageMaker implements TableProvider, DataSourceRegister {
  @Override
  public String shortName() {
    return "sagemaker";
  }

  @Override
  public StructType inferSchema(CaseInsensitiveStringMap options) {
    return new Options(options).schema();
  }

  @Override
  public Table getTable(StructType schema, Transform[] partitioning, Map<String, String> properties) {
    return new RecordTable(schema, new Options(new CaseInsensitiveStringMap(properties)));
  }

  /** A schema given by hand may leave columns out; and writing hands over the schema of what is written. */
  @Override
  public boolean supportsExternalMetadata() {
    return true;
  }
}
