package io.sagemakerpyspark.codec;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The fields of one protobuf message, read in place. Every length is held against the bytes that are there before anything is
 * made of it.
 */
final class Wire {
  static final int VARINT = 0;
  static final int FIXED64 = 1;
  static final int BYTES = 2;
  static final int FIXED32 = 5;
  private static final int GROUP = 3;
  private static final int GROUP_END = 4;
  /** Groups inside groups that the protobuf libraries follow. */
  private static final int DEEPEST = 100;

  private final byte[] bytes;
  private final ByteBuffer numbers;
  private final int end;
  /** Where the record lies: its first byte here, and its offset in the stream, for messages. */
  private final int begin;
  private final long offset;
  private int at;

  Wire(byte[] bytes, int start, int length, long offset) {
    this(bytes, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN), start, start + length, start, offset);
  }

  private Wire(byte[] bytes, ByteBuffer numbers, int at, int end, int begin, long offset) {
    this.bytes = bytes;
    this.numbers = numbers;
    this.at = at;
    this.end = end;
    this.begin = begin;
    this.offset = offset;
  }

  boolean more() {
    return at < end;
  }

  /** Bytes that are left. */
  int left() {
    return end - at;
  }

  /** The next field's number and type, as they are written: number * 8 + type. */
  int tag() {
    long tag = varint(5);
    if (tag >>> 32 != 0 || tag >>> 3 == 0) {
      throw malformed("a field's number must be between 1 and 536870911, got " + (tag >>> 3));
    }
    return (int) tag;
  }

  long varint() {
    return varint(10);
  }

  private long varint(int most) {
    long value = 0;
    for (int count = 0; count < most; count++) {
      if (at == end) {
        throw malformed("a varint must end inside its message");
      }
      byte next = bytes[at++];
      value |= (next & 0x7FL) << 7 * count;
      if (next >= 0) {
        return value;
      }
    }
    throw malformed("a varint must end after at most " + most + " bytes here");
  }

  float fixed32() {
    return numbers.getFloat(take(4));
  }

  double fixed64() {
    return numbers.getDouble(take(8));
  }

  /** The message inside a field of type {@link #BYTES}. */
  Wire message() {
    long length = varint(5);
    if (length > end - at) {
      throw malformed("a field's length must stay inside its message, got " + length + " where " + (end - at)
          + " bytes are left");
    }
    int start = take((int) length);
    return new Wire(bytes, numbers, start, at, begin, offset);
  }

  /** How many varints fill the rest of this message. */
  int varints() {
    int count = 0;
    for (int i = at; i < end; i++) {
      count += bytes[i] >= 0 ? 1 : 0;
    }
    return count;
  }

  byte[] rest() {
    return Arrays.copyOfRange(bytes, at, end);
  }

  /** The rest of this message, which must be UTF-8. */
  String text(String what) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, at, end - at)).toString();
    } catch (CharacterCodingException problem) {
      throw new IllegalArgumentException(what + " of the record at offset " + offset + " must be UTF-8", problem);
    }
  }

  /** Passes over a field that the schema does not have, or has with another type. */
  void skip(int tag) {
    skip(tag, 0);
  }

  private void skip(int tag, int depth) {
    switch (tag & 7) {
      case VARINT:
        varint();
        return;
      case FIXED64:
        take(8);
        return;
      case BYTES:
        message();
        return;
      case FIXED32:
        take(4);
        return;
      case GROUP:
        skipGroup(tag, depth);
        return;
      case GROUP_END:
        throw malformed("a group must begin before it ends, field " + (tag >>> 3) + " only ends one");
      default:
        throw malformed("a field's type must be between 0 and 5, got " + (tag & 7));
    }
  }

  private void skipGroup(int tag, int depth) {
    if (depth >= DEEPEST) {
      throw malformed("groups must be at most " + DEEPEST + " deep");
    }
    while (more()) {
      int inside = tag();
      if (inside == (tag ^ GROUP ^ GROUP_END)) {
        return;
      }
      skip(inside, depth + 1);
    }
    throw malformed("a group must end inside its message, field " + (tag >>> 3) + " does not");
  }

  private int take(int count) {
    if (end - at < count) {
      throw malformed("a number of " + count + " bytes must end inside its message, " + (end - at) + " are left");
    }
    int start = at;
    at += count;
    return start;
  }

  IllegalArgumentException malformed(String problem) {
    return new IllegalArgumentException("the record at offset " + offset + " is not a protobuf Record: " + problem
        + " (byte " + (at - begin) + " of the record)");
  }

  /** Refuses a record whose message is sound but whose content is not. */
  IllegalArgumentException refused(String problem) {
    return new IllegalArgumentException(problem + " in the record at offset " + offset);
  }
}
