package io.sagemakerpyspark.codec;

import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.SparseVector;

/**
 * One row as a line of CSV, LibSVM or JSON: the bytes of sagemaker_pyspark/codecs/text.py. A refusal begins with the name of the
 * error that sagemaker_pyspark/jvm.py makes of it; it is no class of its own, since the driver may be unable to load one.
 */
final class TextWriter {
  /** The longest array that every JVM can make. */
  private static final int MAX_LINE = Integer.MAX_VALUE - 8;

  private final int size;
  /** Position of each value of a sparse row, null for a dense one. */
  private int[] indices;
  private double[] values;
  private byte[] out;
  private int end;

  private TextWriter(int size, int[] indices, double[] values) {
    this.size = size;
    this.indices = indices;
    this.values = values;
  }

  /**
   * @param features a vector or an array of numbers, as Spark hands it to a UDF
   * @param label or null
   * @param format csv, libsvm or jsonlines
   */
  static byte[] write(Object features, Double label, String format) {
    TextWriter row = of(features);
    switch (format) {
      case "csv":
        row.csv(label);
        break;
      case "libsvm":
        row.libsvm(label);
        break;
      case "jsonlines":
        row.json();
        break;
      default:
        throw new IllegalArgumentException("format must be csv, libsvm or jsonlines, got " + format);
    }
    row.text("\n");
    return Arrays.copyOf(row.out, row.end);
  }

  private static TextWriter of(Object features) {
    if (features instanceof DenseVector) {
      return dense(((DenseVector) features).values());
    }
    if (features instanceof SparseVector) {
      SparseVector v = (SparseVector) features;
      return sparse(v.size(), v.indices(), v.values());
    }
    String name = features.getClass().getName();
    if (name.equals("org.apache.spark.mllib.linalg.DenseVector")) {
      return dense((double[]) Rows.get(features, "values"));
    }
    if (name.equals("org.apache.spark.mllib.linalg.SparseVector")) {
      return sparse((int) Rows.get(features, "size"), (int[]) Rows.get(features, "indices"),
          (double[]) Rows.get(features, "values"));
    }
    if (name.endsWith("Matrix")) {
      throw new IllegalArgumentException("CodecError: a text format cannot carry a matrix; use ProtobufRequestRowSerializer");
    }
    return dense(Rows.sequence(features));
  }

  private static TextWriter sparse(int size, int[] indices, double[] values) {
    RecordWriter.checkIndices(size, indices);
    return new TextWriter(size, indices, values);
  }

  private static TextWriter dense(double[] values) {
    return new TextWriter(values.length, null, values);
  }

  /** Sparse rows are written out. */
  private void csv(Double label) {
    begin(4L * size); // "0.0," is the shortest cell
    if (label != null) {
      number(label);
    }
    if (label != null && size > 0) {
      text(",");
    }
    if (indices == null) {
      numbers(",");
      return;
    }
    order(false);
    int cell = 0;
    for (int i = 0; i < indices.length; i++) {
      cell = zeros(cell, indices[i]);
      separate(cell++, ",");
      number(values[i]);
    }
    zeros(cell, size);
  }

  /** Zeros are left out, but for the first and the last: see LibSVMRequestRowSerializer. */
  private void libsvm(Double label) {
    begin(0);
    number(label == null || label == 0 ? 0.0 : label);
    if (indices == null) {
      for (int i = 0; i < size; i++) {
        if (values[i] != 0 || i == 0 || i == size - 1) {
          pair(i, values[i]);
        }
      }
      return;
    }
    order(true);
    int last = -1;
    for (int i = 0; i < indices.length; i++) {
      if (values[i] != 0) {
        if (last < 0 && indices[i] > 0) {
          pair(0, 0.0);
        }
        last = indices[i];
        pair(last, values[i]);
      }
    }
    if (last < 0 && size > 0) {
      last = 0;
      pair(0, 0.0);
    }
    if (last < size - 1) {
      pair(size - 1, 0.0);
    }
  }

  private void json() {
    begin(4L * values.length);
    if (indices == null) {
      text("{\"features\": [");
      numbers(", ");
      text("]}");
      return;
    }
    text("{\"data\": {\"features\": {\"keys\": [");
    for (int i = 0; i < indices.length; i++) {
      separate(i, ", ");
      whole(indices[i]);
    }
    text("], \"shape\": [");
    whole(size);
    text("], \"values\": [");
    numbers(", ");
    text("]}}}");
  }

  /** Indices in order and each once, the last one given; mllib's vectors promise neither. */
  private void order(boolean withoutZeros) {
    boolean ordered = true;
    for (int i = 1; i < indices.length; i++) {
      ordered &= indices[i - 1] < indices[i];
    }
    if (ordered) {
      return;
    }
    TreeMap<Integer, Double> cells = new TreeMap<>();
    for (int i = 0; i < indices.length; i++) {
      if (!withoutZeros || values[i] != 0) {
        cells.put(indices[i], values[i]);
      }
    }
    indices = cells.keySet().stream().mapToInt(i -> i).toArray();
    values = cells.values().stream().mapToDouble(v -> v).toArray();
  }

  // -- pieces ---------------------------------------------------------------------------------------------------------------

  private void numbers(String separator) {
    for (int i = 0; i < values.length; i++) {
      separate(i, separator);
      number(values[i]);
    }
  }

  private int zeros(int cell, int to) {
    for (; cell < to; cell++) {
      separate(cell, ",");
      text("0.0");
    }
    return cell;
  }

  private void pair(int index, double value) {
    text(" ");
    whole(index);
    text(":");
    number(value == 0 ? 0.0 : value);
  }

  private void separate(int cell, String separator) {
    if (cell > 0) {
      text(separator);
    }
  }

  private void number(double value) {
    reserve(ShortestDecimal.MAX_LENGTH);
    end = ShortestDecimal.write(value, out, end);
  }

  private void whole(int value) {
    reserve(ShortestDecimal.MAX_LENGTH);
    end = ShortestDecimal.digits(value, out, end);
  }

  private void text(String ascii) {
    reserve(ascii.length());
    for (int i = 0; i < ascii.length(); i++) {
      out[end++] = (byte) ascii.charAt(i);
    }
  }

  // -- the buffer -----------------------------------------------------------------------------------------------------------

  /** Refuse a line that cannot fit before memory is spent on it. */
  private void begin(long atLeast) {
    refuse(atLeast);
    out = new byte[(int) Math.min(Math.max(atLeast, 20L * values.length) + 64, MAX_LINE)];
  }

  private void reserve(int more) {
    if (out.length - end < more) {
      refuse((long) end + more);
      out = Arrays.copyOf(out, (int) Math.min(2L * out.length + more, MAX_LINE));
    }
  }

  private void refuse(long bytes) {
    if (bytes > MAX_LINE) {
      throw new IllegalArgumentException("RecordTooLarge: a line of text must be smaller than " + (MAX_LINE + 1L)
          + " bytes, this row has " + bytes + " or more (" + size + " features); use LibSVM or RecordIO-protobuf, which leave "
          + "zeros out");
    }
  }
}
