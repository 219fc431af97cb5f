package io.sagemakerpyspark.codec;

import org.apache.spark.sql.api.java.UDF2;

/** A features column and the name of a format to lines of text; null for a null row. */
public final class TextUdf implements UDF2<Object, String, byte[]> {
  private static final long serialVersionUID = 1L;

  @Override
  public byte[] call(Object features, String format) {
    return features == null ? null : TextWriter.write(features, null, format);
  }
}
