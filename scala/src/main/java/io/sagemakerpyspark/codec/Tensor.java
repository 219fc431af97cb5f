package io.sagemakerpyspark.codec;

import java.util.Arrays;

/** One tensor of a record: numbers, their keys if it is sparse and its shape if it was written; or byte strings. */
public final class Tensor {
  /** What the values were written as: {@code float32}, {@code float64}, {@code int32} or {@code bytes}. */
  public final String kind;
  /** Every type of number fits a double; null for bytes. */
  public final double[] values;
  /** Position of each value, unsigned; null for a dense tensor. */
  public final long[] keys;
  /** Lengths, unsigned; null where none was written. */
  public final long[] shape;
  /** Null for numbers. */
  public final byte[][] bytes;

  Tensor(String kind, double[] values, long[] keys, long[] shape, byte[][] bytes) {
    this.kind = kind;
    this.values = values;
    this.keys = keys;
    this.shape = shape;
    this.bytes = bytes;
  }

  public boolean isBytes() {
    return bytes != null;
  }

  /** Whether values lie where keys say; a shape without values is a sparse tensor of nothing but zeros. */
  public boolean isSparse() {
    return keys != null || !isBytes() && shape != null && values.length == 0;
  }

  /**
   * How many numbers the shape claims, 1 without a shape.
   *
   * @return -1 for 2^63 or more
   */
  public long size() {
    if (shape == null) {
      return 1;
    }
    // A zero anywhere makes it zero, however large the rest is.
    if (Arrays.stream(shape).anyMatch(length -> length == 0)) {
      return 0;
    }
    long size = 1;
    for (long length : shape) {
      if (length < 0 || size > Long.MAX_VALUE / length) {
        return -1;
      }
      size *= length;
    }
    return size;
  }
}
