package io.sagemakerpyspark.codec;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * One row as a RecordIO frame around Amazon's Record message; see proto/FORMAT.md. Sizes are worked out first, so that each row
 * is one exact array and no byte is written twice.
 */
public final class RecordWriter {
  static final int MAGIC = 0xCED7230A;
  /** The upper three bits of the length word are a continuation flag, so a payload stays below 2^29 bytes. */
  static final long MAX_PAYLOAD = (1L << 29) - 1;

  private static final byte[] KEY = {0x0a, 6, 'v', 'a', 'l', 'u', 'e', 's'};
  private static final byte[] LABEL = {0x12, 0x12, 0x0a, 6, 'v', 'a', 'l', 'u', 'e', 's', 0x12, 8, 0x12, 6, 0x0a, 4};

  private RecordWriter() {}

  /** A dense vector or an array; {@code label} may be null, here and below. */
  public static byte[] dense(double[] values, Double label) {
    return write(values, null, null, label);
  }

  /** A sparse vector. */
  public static byte[] sparse(int size, int[] indices, double[] values, Double label) {
    long[] keys = new long[indices.length];
    checkIndices(size, indices);
    for (int i = 0; i < keys.length; i++) {
      keys[i] = indices[i];
    }
    return write(values, keys, new long[] {size}, label);
  }

  /** For every format: mllib's vectors do not promise it. */
  static void checkIndices(int size, int[] indices) {
    for (int index : indices) {
      if (index < 0 || index >= size) {
        throw new IllegalArgumentException("CodecError: the indices of a sparse vector must be below its size, got " + index
            + " in a row of " + size);
      }
    }
  }

  /** Dense matrices in row-major order. */
  public static byte[] denseMatrix(int rows, int cols, double[] values, boolean transposed, Double label) {
    double[] ordered = values;
    if (!transposed) {
      ordered = new double[values.length];
      for (int row = 0; row < rows; row++) {
        for (int col = 0; col < cols; col++) {
          ordered[row * cols + col] = values[col * rows + row];
        }
      }
    }
    return write(ordered, null, new long[] {rows, cols}, label);
  }

  /** Sparse matrices keep the order of their values; a key is row * columns + column. */
  public static byte[] sparseMatrix(int rows, int cols, int[] pointers, int[] minor, double[] values, boolean transposed,
      Double label) {
    long[] keys = new long[values.length];
    for (int major = 0; major + 1 < pointers.length; major++) {
      for (int at = pointers[major]; at < pointers[major + 1]; at++) {
        keys[at] = transposed ? (long) major * cols + minor[at] : (long) minor[at] * cols + major;
      }
    }
    return write(values, keys, new long[] {rows, cols}, label);
  }

  /**
   * @param values tensor values, written as float32
   * @param keys position of each value, or null for a dense tensor
   * @param shape lengths, or null for a dense vector
   * @param label or null
   */
  static byte[] write(double[] values, long[] keys, long[] shape, Double label) {
    long floats = 4L * values.length;
    long keyBytes = sizeOf(keys);
    long shapeBytes = sizeOf(shape);
    long tensor = field(floats) + field(keyBytes) + field(shapeBytes);
    long value = 1 + varintSize(tensor) + tensor;
    long entry = KEY.length + 1 + varintSize(value) + value;
    long payload = 1 + varintSize(entry) + entry + (label == null ? 0 : LABEL.length + 4);
    if (payload > MAX_PAYLOAD) {
      throw new IllegalArgumentException("RecordTooLarge: a RecordIO record must be smaller than " + (MAX_PAYLOAD + 1)
          + " bytes, this row has " + payload + " (" + values.length + " values); use fewer features or sparse vectors");
    }
    ByteBuffer out = ByteBuffer.allocate((int) (8 + payload + ((4 - payload % 4) % 4))).order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(MAGIC).putInt((int) payload).put((byte) 0x0a);
    varint(out, entry);
    out.put(KEY).put((byte) 0x12);
    varint(out, value);
    out.put((byte) 0x12);
    varint(out, tensor);
    if (floats > 0) {
      out.put((byte) 0x0a);
      varint(out, floats);
      for (double v : values) {
        out.putFloat((float) v);
      }
    }
    longs(out, 0x12, keys, keyBytes);
    longs(out, 0x1a, shape, shapeBytes);
    if (label != null) {
      out.put(LABEL).putFloat((float) (double) label);
    }
    return out.array();
  }

  private static long sizeOf(long[] values) {
    long size = 0;
    if (values != null) {
      for (long v : values) {
        size += varintSize(v);
      }
    }
    return size;
  }

  private static long field(long size) {
    return size == 0 ? 0 : 1 + varintSize(size) + size;
  }

  private static void longs(ByteBuffer out, int tag, long[] values, long size) {
    if (size > 0) {
      out.put((byte) tag);
      varint(out, size);
      for (long v : values) {
        varint(out, v);
      }
    }
  }

  static int varintSize(long value) {
    int size = 1;
    while ((value & ~0x7FL) != 0) {
      value >>>= 7;
      size++;
    }
    return size;
  }

  static void varint(ByteBuffer out, long value) {
    while ((value & ~0x7FL) != 0) {
      out.put((byte) (value & 0x7F | 0x80));
      value >>>= 7;
    }
    out.put((byte) value);
  }
}
