package io.sagemakerpyspark.codec;

import org.apache.spark.sql.api.java.UDF3;

/** A features and a label column and the name of a format to lines of text; null where either column is null. */
public final class LabeledTextUdf implements UDF3<Object, Double, String, byte[]> {
  private static final long serialVersionUID = 1L;

  @Override
  public byte[] call(Object features, Double label, String format) {
    return features == null || label == null ? null : TextWriter.write(features, label, format);
  }
}
