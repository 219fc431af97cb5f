package io.sagemakerpyspark.codec;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The Value message. As protobuf has it, a tensor that comes in pieces is put together and one of another type takes the place of
 * the first.
 */
final class TensorParser {
  private static final String[] KINDS = {"float32", "float64", "int32", "bytes"};
  private static final int[] FIELDS = {2, 3, 7, 9};
  /** Keys are below this. */
  private static final BigInteger KEYS = BigInteger.ONE.shiftLeft(64);

  /** Index of {@link #KINDS}; a Value without any reads as no floats. */
  private int kind;
  private double[] values;
  private int count;
  private Longs keys;
  private Longs shape;
  private List<byte[]> bytes;

  TensorParser() {
    become(0);
  }

  private void become(int next) {
    kind = next;
    values = new double[0];
    count = 0;
    keys = new Longs();
    shape = new Longs();
    bytes = new ArrayList<>();
  }

  void value(Wire in) {
    while (in.more()) {
      int tag = in.tag();
      int found = Arrays.binarySearch(FIELDS, tag >>> 3);
      if (found < 0 || (tag & 7) != Wire.BYTES) {
        in.skip(tag);
        continue;
      }
      if (found != kind) {
        become(found);
      }
      tensor(in.message());
    }
  }

  private void tensor(Wire in) {
    while (in.more()) {
      int tag = in.tag();
      if (kind == 3) {
        if (tag == (1 << 3 | Wire.BYTES)) {
          bytes.add(in.message().rest());
        } else {
          in.skip(tag);
        }
        continue;
      }
      int field = tag >>> 3;
      int type = tag & 7;
      int number = field > 1 || kind == 2 ? Wire.VARINT : kind == 1 ? Wire.FIXED64 : Wire.FIXED32;
      if (field > 3 || type != Wire.BYTES && type != number) {
        in.skip(tag);
      } else if (field == 1) {
        append(in, type == Wire.BYTES);
      } else if (field == 2) {
        keys.append(in, type == Wire.BYTES);
      } else {
        shape.append(in, type == Wire.BYTES);
      }
    }
  }

  private void append(Wire in, boolean packed) {
    if (!packed) {
      room(1);
      values[count++] = number(in);
      return;
    }
    Wire from = in.message();
    int size = kind == 0 ? 4 : 8;
    if (kind != 2 && from.left() % size != 0) {
      throw from.malformed("packed numbers must fill whole times " + size + " bytes, got " + from.left());
    }
    room(kind == 2 ? from.varints() : from.left() / size);
    while (from.more()) {
      double next = number(from); // one without an end is refused here, before there is no room for it
      values[count++] = next;
    }
  }

  private double number(Wire in) {
    return kind == 0 ? in.fixed32() : kind == 1 ? in.fixed64() : (int) in.varint();
  }

  private void room(int more) {
    if (count + more > values.length) {
      values = Arrays.copyOf(values, count == 0 ? more : Math.max(count + more, 2 * count));
    }
  }

  /** Positions or lengths; unsigned. */
  private static final class Longs {
    private long[] all = new long[0];
    private int count;

    void append(Wire in, boolean packed) {
      Wire from = packed ? in.message() : in;
      int more = packed ? from.varints() : 1;
      if (count + more > all.length) {
        all = Arrays.copyOf(all, count == 0 ? more : Math.max(count + more, 2 * count));
      }
      if (!packed) {
        all[count++] = from.varint();
        return;
      }
      while (from.more()) {
        long next = from.varint();
        all[count++] = next;
      }
    }

    /** Null for none, which is how a dense tensor is written. */
    long[] get() {
      return count == 0 ? null : count == all.length ? all : Arrays.copyOf(all, count);
    }
  }

  /** @param in for the messages only */
  Tensor finish(Wire in) {
    if (kind == 3) {
      return new Tensor(KINDS[kind], null, null, null, bytes.toArray(new byte[0][]));
    }
    long[] at = keys.get();
    long[] lengths = shape.get();
    if (at != null) {
      check(at, lengths, in);
    }
    return new Tensor(KINDS[kind], values.length == count ? values : Arrays.copyOf(values, count), at, lengths, null);
  }

  private void check(long[] at, long[] lengths, Wire in) {
    if (at.length != count) {
      throw in.refused("a sparse tensor must have as many keys as values, got " + at.length + " and " + count);
    }
    if (lengths == null) {
      return;
    }
    BigInteger size = Arrays.stream(lengths).anyMatch(length -> length == 0) ? BigInteger.ZERO : BigInteger.ONE;
    for (int i = 0; i < lengths.length && size.signum() > 0; i++) {
      size = size.multiply(new BigInteger(Long.toUnsignedString(lengths[i])));
      if (size.compareTo(KEYS) >= 0) {
        return; // every key is below it
      }
    }
    long largest = at[0];
    for (long key : at) {
      largest = Long.compareUnsigned(key, largest) > 0 ? key : largest;
    }
    if (new BigInteger(Long.toUnsignedString(largest)).compareTo(size) >= 0) {
      throw in.refused("keys must be below the shape's " + size + ", got " + Long.toUnsignedString(largest));
    }
  }
}
