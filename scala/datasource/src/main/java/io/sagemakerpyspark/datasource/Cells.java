package io.sagemakerpyspark.datasource;

import io.sagemakerpyspark.codec.Tensor;
import java.util.Arrays;
import java.util.Map;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.ArrayBasedMapData;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.unsafe.types.UTF8String;

/** Tensors as Spark stores the values of its columns. */
final class Cells {
  private static final byte SPARSE = 0;
  private static final byte DENSE = 1;
  /** A sparse row is written out, and pointers are made, up to so many: a few bytes must not claim gigabytes. */
  private static final int MOST = 1 << 24;

  private Cells() {}

  static Double label(Tensor tensor) {
    if (tensor == null) {
      return null;
    }
    checkNumbers("label", tensor);
    if (tensor.values.length != 1) {
      throw new IllegalArgumentException("a label must be one number, got " + tensor.values.length
          + "; read them with option tensors=true and without the label column");
    }
    return tensor.values[0];
  }

  static InternalRow vector(Tensor tensor) {
    if (tensor == null) {
      return null;
    }
    checkNumbers("features", tensor);
    if (tensor.shape != null && tensor.shape.length > 1) {
      throw new IllegalArgumentException("features must have one length to be a vector, got the shape " + shape(tensor)
          + "; read them with option featuresType=matrix or array");
    }
    if (tensor.isSparse()) {
      int size = size(tensor);
      int[] order = order(keys(tensor));
      return new GenericInternalRow(new Object[] {SPARSE, size, ints(keys(tensor), order), doubles(tensor.values, order)});
    }
    checkFilled(tensor);
    return new GenericInternalRow(new Object[] {DENSE, null, null, doubles(tensor.values, null)});
  }

  static ArrayData array(Tensor tensor) {
    if (tensor == null) {
      return null;
    }
    checkNumbers("features", tensor);
    if (!tensor.isSparse()) {
      return doubles(tensor.values, null);
    }
    int size = size(tensor);
    if (size > MOST) {
      throw new IllegalArgumentException("sparse features are written out as an array up to " + MOST + " values, got the shape "
          + shape(tensor) + "; read them with option featuresType=vector");
    }
    long[] keys = keys(tensor);
    order(keys);
    double[] all = new double[size];
    for (int at = 0; at < keys.length; at++) {
      all[(int) keys[at]] = tensor.values[at];
    }
    return doubles(all, null);
  }

  static InternalRow matrix(Tensor tensor) {
    if (tensor == null) {
      return null;
    }
    checkNumbers("features", tensor);
    if (tensor.shape == null || tensor.shape.length != 2) {
      throw new IllegalArgumentException("features must have two lengths to be a matrix, got the shape " + shape(tensor)
          + "; read them with option featuresType=vector or array");
    }
    size(tensor);
    int rows = length(tensor, 0);
    int cols = length(tensor, 1);
    if (!tensor.isSparse()) {
      checkFilled(tensor);
      return new GenericInternalRow(new Object[] {DENSE, rows, cols, null, null, doubles(tensor.values, null), true});
    }
    // By column, as Spark makes them; by row where so many columns would need more pointers than there can be values.
    boolean byRow = cols > MOST;
    long[] keys = keys(tensor);
    long[] places = new long[keys.length];
    int[] pointers = new int[(byRow ? rows : cols) + 1];
    for (int at = 0; at < keys.length; at++) {
      long row = keys[at] / cols;
      long col = keys[at] % cols;
      places[at] = byRow ? keys[at] : col * rows + row;
      pointers[(int) (byRow ? row : col) + 1]++;
    }
    Arrays.parallelPrefix(pointers, Integer::sum);
    int[] order = order(places);
    long[] minor = new long[keys.length];
    for (int at = 0; at < keys.length; at++) {
      minor[at] = byRow ? keys[at] % cols : keys[at] / cols;
    }
    return new GenericInternalRow(new Object[] {SPARSE, rows, cols, UnsafeArrayData.fromPrimitiveArray(pointers),
        ints(minor, order), doubles(tensor.values, order), byRow});
  }

  static ArrayBasedMapData tensors(Map<String, Tensor> tensors) {
    Object[] keys = tensors.keySet().stream().map(UTF8String::fromString).toArray();
    Object[] values = tensors.values().stream().map(Cells::tensor).toArray();
    return new ArrayBasedMapData(new GenericArrayData(keys), new GenericArrayData(values));
  }

  private static InternalRow tensor(Tensor tensor) {
    UTF8String kind = UTF8String.fromString(tensor.kind);
    if (tensor.isBytes()) {
      return new GenericInternalRow(new Object[] {kind, null, null, null, new GenericArrayData((Object[]) tensor.bytes)});
    }
    return new GenericInternalRow(
        new Object[] {kind, doubles(tensor.values, null), longs(tensor.keys), longs(tensor.shape), null});
  }

  private static void checkNumbers(String what, Tensor tensor) {
    if (tensor.isBytes()) {
      throw new IllegalArgumentException("the " + what + " of a record must be numbers, got bytes; read them with option "
          + "tensors=true and without the column of the " + what);
    }
  }

  private static void checkFilled(Tensor tensor) {
    if (tensor.shape != null && tensor.size() != tensor.values.length) {
      throw new IllegalArgumentException("a dense tensor of shape " + shape(tensor) + " must fill it, got " + tensor.values.length
          + " values; read it with option featuresType=array");
    }
  }

  private static int size(Tensor tensor) {
    if (tensor.shape == null) {
      throw new IllegalArgumentException("a sparse row must have a shape, got keys alone; read it with option tensors=true and "
          + "without the features column");
    }
    long size = tensor.size();
    if (size < 0 || size > Integer.MAX_VALUE) {
      throw tooLarge(tensor);
    }
    return (int) size;
  }

  private static int length(Tensor tensor, int at) {
    if (tensor.shape[at] < 0 || tensor.shape[at] > Integer.MAX_VALUE) {
      throw tooLarge(tensor);
    }
    return (int) tensor.shape[at];
  }

  private static IllegalArgumentException tooLarge(Tensor tensor) {
    return new IllegalArgumentException("Spark's vectors and matrices hold up to " + Integer.MAX_VALUE + " numbers, got the shape "
        + shape(tensor) + "; read it with option tensors=true and without the features column");
  }

  private static String shape(Tensor tensor) {
    return tensor.shape == null ? "[]"
        : Arrays.toString(Arrays.stream(tensor.shape).mapToObj(Long::toUnsignedString).toArray());
  }

  private static long[] keys(Tensor tensor) {
    return tensor.keys == null ? new long[0] : tensor.keys;
  }

  /** In which order places increase, as Spark's sparse types need them; null if they do already. */
  private static int[] order(long[] places) {
    boolean increase = true;
    for (int at = 1; at < places.length && increase; at++) {
      increase = places[at] > places[at - 1];
    }
    if (increase) {
      return null;
    }
    Integer[] order = new Integer[places.length];
    Arrays.setAll(order, at -> at);
    Arrays.sort(order, (a, b) -> Long.compare(places[a], places[b]));
    for (int at = 1; at < order.length; at++) {
      if (places[order[at]] == places[order[at - 1]]) {
        throw new IllegalArgumentException("a sparse row must name each key once, got one twice; read it with option tensors=true "
            + "and without the features column");
      }
    }
    return Arrays.stream(order).mapToInt(at -> at).toArray();
  }

  private static ArrayData doubles(double[] values, int[] order) {
    return UnsafeArrayData.fromPrimitiveArray(
        order == null ? values : Arrays.stream(order).mapToDouble(at -> values[at]).toArray());
  }

  private static ArrayData ints(long[] values, int[] order) {
    int[] made = new int[values.length];
    for (int at = 0; at < made.length; at++) {
      made[at] = (int) values[order == null ? at : order[at]];
    }
    return UnsafeArrayData.fromPrimitiveArray(made);
  }

  private static ArrayData longs(long[] values) {
    if (values == null) {
      return null;
    }
    for (long value : values) {
      if (value < 0) {
        throw new IllegalArgumentException("keys and shape must be below 2^63, got " + Long.toUnsignedString(value)
            + "; read the record without the columns of its tensors");
      }
    }
    return UnsafeArrayData.fromPrimitiveArray(values);
  }
}
