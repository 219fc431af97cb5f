package io.sagemakerpyspark.datasource;

import io.sagemakerpyspark.codec.RecordMessage;
import java.io.Serializable;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.ml.linalg.SQLDataTypes;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/** Which part of a record each column of a schema holds. */
final class Columns implements Serializable {
  private static final long serialVersionUID = 1L;

  static final DataType DOUBLES = DataTypes.createArrayType(DataTypes.DoubleType);
  private static final DataType LONGS = DataTypes.createArrayType(DataTypes.LongType);
  private static final DataType TENSORS = DataTypes.createMapType(DataTypes.StringType, new StructType()
      .add("kind", DataTypes.StringType).add("values", DOUBLES).add("keys", LONGS).add("shape", LONGS)
      .add("bytes", DataTypes.createArrayType(DataTypes.BinaryType)));
  /** What option tensors appends. */
  private static final Map<String, DataType> EVERYTHING = new LinkedHashMap<>();

  static {
    EVERYTHING.put("featureTensors", TENSORS);
    EVERYTHING.put("labelTensors", TENSORS);
    EVERYTHING.put("uid", DataTypes.StringType);
    EVERYTHING.put("metadata", DataTypes.StringType);
    EVERYTHING.put("configuration", DataTypes.StringType);
  }

  private enum Source { LABEL, VECTOR, MATRIX, ARRAY, featureTensors, labelTensors, uid, metadata, configuration }

  private final Source[] sources;

  /** @throws IllegalArgumentException if a column cannot be read from a record */
  Columns(StructType schema, Options options) {
    StructField[] fields = schema.fields();
    if (fields.length != Arrays.stream(fields).map(StructField::name).distinct().count()) {
      throw new IllegalArgumentException("columns must have different names, got " + String.join(", ", schema.fieldNames())
          + "; use options labelColumnName and featuresColumnName");
    }
    sources = new Source[fields.length];
    for (int at = 0; at < fields.length; at++) {
      sources[at] = source(fields[at].name(), fields[at].dataType(), options);
    }
  }

  private static Source source(String name, DataType type, Options options) {
    if (name.equals(options.label) && type.equals(DataTypes.DoubleType)) {
      return Source.LABEL;
    }
    if (name.equals(options.features)) {
      if (type.equals(SQLDataTypes.VectorType())) {
        return Source.VECTOR;
      }
      if (type.equals(SQLDataTypes.MatrixType())) {
        return Source.MATRIX;
      }
      if (type.catalogString().equals(DOUBLES.catalogString())) {
        return Source.ARRAY;
      }
    }
    // By the text, since whether a list may hold nulls makes no difference here.
    if (EVERYTHING.containsKey(name) && type.catalogString().equals(EVERYTHING.get(name).catalogString())) {
      return Source.valueOf(name);
    }
    throw new IllegalArgumentException("column '" + name + "' of type " + type.catalogString() + " cannot be read from a record: "
        + "there are '" + options.label + "' (double), '" + options.features + "' (vector, matrix or array<double>) and "
        + String.join(", ", EVERYTHING.keySet()));
  }

  static StructType addTensors(StructType schema) {
    StructType made = schema;
    for (Map.Entry<String, DataType> column : EVERYTHING.entrySet()) {
      made = made.add(column.getKey(), column.getValue());
    }
    return made;
  }

  /** Whether rows are only counted. */
  boolean none() {
    return sources.length == 0;
  }

  /** @throws IllegalArgumentException if the record does not fit the type of a column */
  InternalRow row(RecordMessage record) {
    Object[] cells = new Object[sources.length];
    for (int at = 0; at < cells.length; at++) {
      cells[at] = cell(sources[at], record);
    }
    return new GenericInternalRow(cells);
  }

  private static Object cell(Source source, RecordMessage record) {
    switch (source) {
      case LABEL:
        return Cells.label(record.label.get("values"));
      case VECTOR:
        return Cells.vector(record.features.get("values"));
      case MATRIX:
        return Cells.matrix(record.features.get("values"));
      case ARRAY:
        return Cells.array(record.features.get("values"));
      case featureTensors:
        return Cells.tensors(record.features);
      case labelTensors:
        return Cells.tensors(record.label);
      case uid:
        return UTF8String.fromString(record.uid);
      case metadata:
        return UTF8String.fromString(record.metadata);
      default:
        return UTF8String.fromString(record.configuration);
    }
  }
}
