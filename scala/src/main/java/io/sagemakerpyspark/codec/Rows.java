package io.sagemakerpyspark.codec;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.ml.linalg.DenseMatrix;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.SparseMatrix;
import org.apache.spark.ml.linalg.SparseVector;

/** What Spark hands a UDF for a features column, to arrays: ml and mllib vectors and matrices, and Scala's sequences. */
final class Rows {
  private Rows() {}

  /** Handles by class and method: mllib's classes and Scala's sequences differ between Spark versions and are not linked. */
  private static final Map<String, MethodHandle> HANDLES = new ConcurrentHashMap<>();

  static byte[] encode(Object features, Double label) {
    if (features instanceof DenseVector) {
      return RecordWriter.write(((DenseVector) features).values(), null, null, label);
    }
    if (features instanceof SparseVector) {
      SparseVector v = (SparseVector) features;
      return sparse(v.size(), v.indices(), v.values(), label);
    }
    if (features instanceof DenseMatrix) {
      DenseMatrix m = (DenseMatrix) features;
      return dense(m.numRows(), m.numCols(), m.values(), m.isTransposed(), label);
    }
    if (features instanceof SparseMatrix) {
      SparseMatrix m = (SparseMatrix) features;
      return sparse(m.numRows(), m.numCols(), m.colPtrs(), m.rowIndices(), m.values(), m.isTransposed(), label);
    }
    switch (features.getClass().getName()) {
      case "org.apache.spark.mllib.linalg.DenseVector":
        return RecordWriter.write((double[]) get(features, "values"), null, null, label);
      case "org.apache.spark.mllib.linalg.SparseVector":
        return sparse((int) get(features, "size"), (int[]) get(features, "indices"), (double[]) get(features, "values"), label);
      case "org.apache.spark.mllib.linalg.DenseMatrix":
        return dense((int) get(features, "numRows"), (int) get(features, "numCols"), (double[]) get(features, "values"),
            (boolean) get(features, "isTransposed"), label);
      case "org.apache.spark.mllib.linalg.SparseMatrix":
        return sparse((int) get(features, "numRows"), (int) get(features, "numCols"), (int[]) get(features, "colPtrs"),
            (int[]) get(features, "rowIndices"), (double[]) get(features, "values"), (boolean) get(features, "isTransposed"),
            label);
      default:
        return RecordWriter.write(sequence(features), null, null, label);
    }
  }

  private static byte[] sparse(int size, int[] indices, double[] values, Double label) {
    long[] keys = new long[indices.length];
    for (int i = 0; i < keys.length; i++) {
      keys[i] = indices[i];
    }
    return RecordWriter.write(values, keys, new long[] {size}, label);
  }

  /** Dense matrices in row-major order. */
  private static byte[] dense(int rows, int cols, double[] values, boolean transposed, Double label) {
    double[] ordered = values;
    if (!transposed) {
      ordered = new double[values.length];
      for (int row = 0; row < rows; row++) {
        for (int col = 0; col < cols; col++) {
          ordered[row * cols + col] = values[col * rows + row];
        }
      }
    }
    return RecordWriter.write(ordered, null, new long[] {rows, cols}, label);
  }

  /** Sparse matrices keep the order of their values; a key is row * columns + column. */
  private static byte[] sparse(int rows, int cols, int[] pointers, int[] minor, double[] values, boolean transposed,
      Double label) {
    long[] keys = new long[values.length];
    for (int major = 0; major + 1 < pointers.length; major++) {
      for (int at = pointers[major]; at < pointers[major + 1]; at++) {
        keys[at] = transposed ? (long) major * cols + minor[at] : (long) minor[at] * cols + major;
      }
    }
    return RecordWriter.write(values, keys, new long[] {rows, cols}, label);
  }

  /** An array column: Scala's WrappedArray (2.12) or ArraySeq (2.13), over primitives where Spark can. */
  private static double[] sequence(Object seq) {
    // Scala 2.12's WrappedArray and 2.13's mutable ArraySeq have array(), 2.13's immutable one has unsafeArray().
    Object array = seq.getClass().isArray() ? seq : get(seq, "array", "unsafeArray");
    if (array instanceof double[]) {
      return (double[]) array;
    }
    if (array instanceof float[]) {
      float[] from = (float[]) array;
      double[] to = new double[from.length];
      for (int i = 0; i < to.length; i++) {
        to[i] = from[i];
      }
      return to;
    }
    if (array instanceof Object[]) {
      Object[] from = (Object[]) array;
      double[] to = new double[from.length];
      for (int i = 0; i < to.length; i++) {
        if (from[i] == null) {
          throw new IllegalArgumentException("features must not hold nulls, value " + i + " of a row is null; fill them "
              + "(pyspark.ml.feature.Imputer) or use NaN");
        }
        to[i] = ((Number) from[i]).doubleValue();
      }
      return to;
    }
    throw new IllegalArgumentException("features must be a vector, a matrix or an array of numbers, got "
        + seq.getClass().getName());
  }

  private static Object get(Object from, String... names) {
    String name = names[0];
    MethodHandle handle = HANDLES.computeIfAbsent(from.getClass().getName() + "." + name, key -> find(from.getClass(), names));
    try {
      return handle.invokeExact(from);
    } catch (Throwable problem) {
      throw new IllegalArgumentException("cannot read " + name + " of " + from.getClass().getName(), problem);
    }
  }

  private static MethodHandle find(Class<?> owner, String... names) {
    for (String name : names) {
      try {
        Method method = owner.getMethod(name);
        method.setAccessible(true);
        return MethodHandles.lookup().unreflect(method).asType(MethodType.methodType(Object.class, Object.class));
      } catch (NoSuchMethodException | IllegalAccessException tryNext) {
        continue;
      }
    }
    throw new IllegalArgumentException("features must be a vector, a matrix or an array of numbers, got " + owner.getName());
  }
}
