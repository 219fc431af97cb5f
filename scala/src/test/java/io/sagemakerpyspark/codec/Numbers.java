package io.sagemakerpyspark.codec;

import java.util.Arrays;

/** Doubles compared by their bits, all NaNs as one. */
final class Numbers {
  private Numbers() {}

  static long[] bits(double... values) {
    return Arrays.stream(values).mapToLong(Double::doubleToLongBits).toArray();
  }

  static double[] float32(double... values) {
    return Arrays.stream(values).map(v -> (float) v).toArray();
  }
}
