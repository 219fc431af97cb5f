package io.sagemakerpyspark.datasource;

import io.sagemakerpyspark.codec.RecordWriter;
import java.io.Serializable;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.BooleanType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructType;

/** Rows of a schema to frames. */
final class RowEncoder implements Serializable {
  private static final long serialVersionUID = 1L;

  private enum Kind { VECTOR, MATRIX, ARRAY }

  private final String featuresName;
  private final String labelName;
  private final int features;
  private final Kind kind;
  /** Of an array. */
  private final DataType element;
  /** -1 where no label is written. */
  private final int label;
  private final DataType labelType;

  /** @throws IllegalArgumentException if the schema's columns cannot be written */
  RowEncoder(StructType schema, Options options) {
    featuresName = options.features;
    labelName = options.label;
    features = find(schema, featuresName);
    label = find(schema, labelName);
    if (features < 0) {
      throw missing(featuresName, "featuresColumnName", schema);
    }
    if (label < 0 && options.namesLabel()) {
      throw missing(labelName, "labelColumnName", schema);
    }
    DataType type = schema.fields()[features].dataType();
    kind = kind(type);
    element = kind == Kind.ARRAY ? ((ArrayType) type).elementType() : null;
    labelType = label < 0 ? null : schema.fields()[label].dataType();
    if (label >= 0 && !(labelType instanceof NumericType) && !(labelType instanceof BooleanType)) {
      throw new IllegalArgumentException("label column '" + labelName + "' must be numbers, got " + labelType.catalogString()
          + "; cast it or name another with option labelColumnName");
    }
  }

  private static int find(StructType schema, String name) {
    for (int at = 0; at < schema.fields().length; at++) {
      if (schema.fields()[at].name().equals(name)) {
        return at;
      }
    }
    return -1;
  }

  private static IllegalArgumentException missing(String name, String option, StructType schema) {
    return new IllegalArgumentException("column '" + name + "' must exist to be written, the DataFrame has "
        + String.join(", ", schema.fieldNames()) + "; rename it or use option " + option);
  }

  private Kind kind(DataType type) {
    if (type.equals(SQLDataTypes.VectorType())) {
      return Kind.VECTOR;
    }
    if (type.equals(SQLDataTypes.MatrixType())) {
      return Kind.MATRIX;
    }
    if (type instanceof ArrayType) {
      DataType element = ((ArrayType) type).elementType();
      if (element.equals(DataTypes.DoubleType) || element.equals(DataTypes.FloatType)) {
        return Kind.ARRAY;
      }
    }
    throw new IllegalArgumentException("features column '" + featuresName + "' must be a vector, a matrix, array<double> or "
        + "array<float>, got " + type.catalogString() + "; use VectorAssembler or cast it");
  }

  /** @throws IllegalArgumentException if features or label are null, or the row is too large for a frame */
  byte[] encode(InternalRow row) {
    checkPresent(row, features, featuresName);
    Double number = label < 0 ? null : label(row);
    switch (kind) {
      case VECTOR:
        return vector(row.getStruct(features, 4), number);
      case MATRIX:
        return matrix(row.getStruct(features, 7), number);
      default:
        return RecordWriter.dense(numbers(row.getArray(features)), number);
    }
  }

  private static void checkPresent(InternalRow row, int at, String name) {
    if (row.isNullAt(at)) {
      throw new IllegalArgumentException("column '" + name + "' must not be null, a row is; drop or fill such rows");
    }
  }

  private double label(InternalRow row) {
    checkPresent(row, label, labelName);
    if (labelType instanceof DecimalType) {
      DecimalType decimal = (DecimalType) labelType;
      return row.getDecimal(label, decimal.precision(), decimal.scale()).toDouble();
    }
    if (labelType instanceof BooleanType) {
      return row.getBoolean(label) ? 1 : 0;
    }
    return ((Number) row.get(label, labelType)).doubleValue();
  }

  private static byte[] vector(InternalRow v, Double label) {
    double[] values = v.getArray(3).toDoubleArray();
    return v.getByte(0) == 1 ? RecordWriter.dense(values, label)
        : RecordWriter.sparse(v.getInt(1), v.getArray(2).toIntArray(), values, label);
  }

  private static byte[] matrix(InternalRow m, Double label) {
    double[] values = m.getArray(5).toDoubleArray();
    return m.getByte(0) == 1 ? RecordWriter.denseMatrix(m.getInt(1), m.getInt(2), values, m.getBoolean(6), label)
        : RecordWriter.sparseMatrix(m.getInt(1), m.getInt(2), m.getArray(3).toIntArray(), m.getArray(4).toIntArray(), values,
            m.getBoolean(6), label);
  }

  private double[] numbers(ArrayData array) {
    boolean doubles = element.equals(DataTypes.DoubleType);
    double[] made = new double[array.numElements()];
    for (int at = 0; at < made.length; at++) {
      if (array.isNullAt(at)) {
        throw new IllegalArgumentException("column '" + featuresName + "' must not hold nulls, value " + at + " of a row is null; "
            + "fill them (pyspark.ml.feature.Imputer) or use NaN");
      }
      made[at] = doubles ? array.getDouble(at) : array.getFloat(at);
    }
    return made;
  }
}
