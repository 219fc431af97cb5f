package io.sagemakerpyspark.codec;

import org.apache.spark.sql.api.java.UDF2;

/** A features and a label column to RecordIO frames; null where either is null. */
public final class LabeledRecordIOUdf implements UDF2<Object, Double, byte[]> {
  private static final long serialVersionUID = 1L;

  @Override
  public byte[] call(Object features, Double label) {
    return features == null || label == null ? null : Rows.encode(features, label);
  }
}
