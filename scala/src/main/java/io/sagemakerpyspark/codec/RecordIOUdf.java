package io.sagemakerpyspark.codec;

import org.apache.spark.sql.api.java.UDF1;

/** A features column to RecordIO frames; null for a null row. */
public final class RecordIOUdf implements UDF1<Object, byte[]> {
  private static final long serialVersionUID = 1L;

  @Override
  public byte[] call(Object features) {
    return features == null ? null : Rows.encode(features, null);
  }
}
