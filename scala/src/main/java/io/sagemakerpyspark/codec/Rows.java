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
      return RecordWriter.dense(((DenseVector) features).values(), label);
    }
    if (features instanceof SparseVector) {
      SparseVector v = (SparseVector) features;
      return RecordWriter.sparse(v.size(), v.indices(), v.values(), label);
    }
    if (features instanceof DenseMatrix) {
      DenseMatrix m = (DenseMatrix) features;
      return RecordWriter.denseMatrix(m.numRows(), m.numCols(), m.values(), m.isTransposed(), label);
    }
    if (features instanceof SparseMatrix) {
      SparseMatrix m = (SparseMatrix) features;
      return RecordWriter.sparseMatrix(m.numRows(), m.numCols(), m.colPtrs(), m.rowIndices(), m.values(), m.isTransposed(), label);
    }
    switch (features.getClass().getName()) {
      case "org.apache.spark.mllib.linalg.DenseVector":
        return RecordWriter.dense((double[]) get(features, "values"), label);
      case "org.apache.spark.mllib.linalg.SparseVector":
        return RecordWriter.sparse((int) get(features, "size"), (int[]) get(features, "indices"),
            (double[]) get(features, "values"), label);
      case "org.apache.spark.mllib.linalg.DenseMatrix":
        return RecordWriter.denseMatrix((int) get(features, "numRows"), (int) get(features, "numCols"),
            (double[]) get(features, "values"), (boolean) get(features, "isTransposed"), label);
      case "org.apache.spark.mllib.linalg.SparseMatrix":
        return RecordWriter.sparseMatrix((int) get(features, "numRows"), (int) get(features, "numCols"),
            (int[]) get(features, "colPtrs"), (int[]) get(features, "rowIndices"), (double[]) get(features, "values"),
            (boolean) get(features, "isTransposed"), label);
      default:
        return RecordWriter.dense(sequence(features), label);
    }
  }

  /** An array column: Scala's WrappedArray (2.12) or ArraySeq (2.13), over primitives where Spark can. */
  static double[] sequence(Object seq) {
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
          throw new IllegalArgumentException("CodecError: features must not hold nulls, value " + i + " of a row is null; "
              + "fill them (pyspark.ml.feature.Imputer) or use NaN");
        }
        to[i] = ((Number) from[i]).doubleValue();
      }
      return to;
    }
    throw new IllegalArgumentException("features must be a vector, a matrix or an array of numbers, got "
        + seq.getClass().getName());
  }

  static Object get(Object from, String... names) {
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
