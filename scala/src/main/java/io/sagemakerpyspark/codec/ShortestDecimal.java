package io.sagemakerpyspark.codec;

import java.math.BigInteger;

/**
 * The shortest decimal that reads back as a double, written as Python's {@code repr} writes it. {@code Double.toString} is
 * another notation, is not always the shortest before Java 19, and never has one digit only.
 *
 * <p>The algorithm is Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020; names are those of the
 * paper). As Python's does, it takes the decimal closest to the double among the shortest ones, and the even one of two.
 */
final class ShortestDecimal {
  /** More than the longest number takes, "-2.2250738585072014e-308". */
  static final int MAX_LENGTH = 25;

  private static final int MIN_POWER = -292;
  private static final int MAX_POWER = 324;
  /** 10^k as 128 bits with the upper one set, rounded up: high and low word of each k. */
  private static final long[] POWERS = powers();

  private ShortestDecimal() {}

  /** Write {@code value} at {@code at}, where {@link #MAX_LENGTH} bytes are free, and say where it ends. */
  static int write(double value, byte[] out, int at) {
    if (value != value) {
      return ascii("NaN", out, at);
    }
    long bits = Double.doubleToRawLongBits(value);
    if (bits < 0) {
      out[at++] = '-';
    }
    long fraction = bits & 0xFFFFFFFFFFFFFL;
    int exponent = (int) (bits >>> 52) & 0x7FF;
    if (exponent == 0x7FF) {
      return ascii("Infinity", out, at);
    }
    if (exponent == 0 && fraction == 0) {
      return ascii("0.0", out, at);
    }
    long c = exponent == 0 ? fraction : fraction | 1L << 52;
    int q = Math.max(exponent, 1) - 1075;
    if (q <= 0 && q > -53 && (c & (1L << -q) - 1) == 0) { // a whole number below 2^53 is its own shortest decimal
      return ascii(".0", out, digits(c >>> -q, out, at));
    }
    return shortest(c, q, fraction == 0 && exponent > 1, out, at);
  }

  /** Write a number that is not negative. */
  static int digits(long value, byte[] out, int at) {
    int end = at + length(value);
    for (int place = end - 1; place >= at; place--) {
      long tenth = value / 10;
      out[place] = (byte) ('0' + (value - tenth * 10));
      value = tenth;
    }
    return end;
  }

  /** The double is c * 2^q; below a power of two the next one is closer. */
  private static int shortest(long c, int q, boolean closerBelow, byte[] out, int at) {
    int even = (int) (c & 1) ^ 1; // a boundary itself rounds to the even one of its neighbours
    int k = q * 1262611 - (closerBelow ? 524031 : 0) >> 22; // floor(log10(width of the interval))
    int h = q + (-k * 1741647 >> 19) + 1; // floor(log2(10^-k))
    long vbl = scaled(-k, 4 * c - (closerBelow ? 1 : 2) << h) + 1 - even;
    long vb = scaled(-k, 4 * c << h);
    long vbr = scaled(-k, 4 * c + 2 << h) - 1 + even;
    long s = vb >> 2;
    if (s >= 10) {
      long tenth = s / 10;
      boolean below = vbl <= 40 * tenth;
      if (below != 40 * tenth + 40 <= vbr) {
        return decimal(below ? tenth : tenth + 1, k + 1, out, at);
      }
    }
    boolean below = vbl <= 4 * s;
    if (below != 4 * s + 4 <= vbr) {
      return decimal(below ? s : s + 1, k, out, at);
    }
    long middle = 4 * s + 2;
    return decimal(vb > middle || vb == middle && (s & 1) != 0 ? s + 1 : s, k, out, at);
  }

  /** cp * 10^power, rounded to odd; the power of two that is left out is in h. */
  private static long scaled(int power, long cp) {
    int at = (power - MIN_POWER) * 2;
    long carry = high(POWERS[at + 1], cp);
    long low = POWERS[at] * cp + carry;
    long high = high(POWERS[at], cp) + (Long.compareUnsigned(low, carry) < 0 ? 1 : 0);
    return high | ((low & ~1L) == 0 ? 0 : 1);
  }

  /** Upper half of an unsigned product; {@code Math.multiplyHigh} came with Java 9. */
  private static long high(long a, long b) {
    long a0 = a & 0xFFFFFFFFL;
    long a1 = a >>> 32;
    long b0 = b & 0xFFFFFFFFL;
    long b1 = b >>> 32;
    long cross = a0 * b1;
    long middle = a1 * b0 + (a0 * b0 >>> 32) + (cross & 0xFFFFFFFFL);
    return a1 * b1 + (middle >>> 32) + (cross >>> 32);
  }

  /** Write d * 10^k: plain from 0.0001 to below 10^16, else with an exponent of two digits at least. */
  private static int decimal(long d, int k, byte[] out, int at) {
    while (d % 10 == 0) {
      d /= 10;
      k++;
    }
    int count = length(d);
    int point = count + k; // the value is 0.d * 10^point
    if (point > 16 || point <= -4) {
      int end = digits(d, out, count > 1 ? at + 1 : at);
      if (count > 1) {
        out[at] = out[at + 1];
        out[at + 1] = '.';
      }
      out[end++] = 'e';
      int exponent = point - 1;
      out[end++] = (byte) (exponent < 0 ? '-' : '+');
      exponent = Math.abs(exponent);
      if (exponent < 10) {
        out[end++] = '0';
      }
      return digits(exponent, out, end);
    }
    if (point <= 0) {
      at = ascii("0.", out, at);
      for (; point < 0; point++) {
        out[at++] = '0';
      }
      return digits(d, out, at);
    }
    int end = digits(d, out, at);
    if (point < count) {
      System.arraycopy(out, at + point, out, at + point + 1, count - point);
      out[at + point] = '.';
      return end + 1;
    }
    for (; count < point; count++) {
      out[end++] = '0';
    }
    return ascii(".0", out, end);
  }

  private static int length(long value) {
    int length = 1;
    for (long bound = 10; length < 19 && value >= bound; bound *= 10) {
      length++;
    }
    return length;
  }

  private static int ascii(String text, byte[] out, int at) {
    for (int i = 0; i < text.length(); i++) {
      out[at++] = (byte) text.charAt(i);
    }
    return at;
  }

  private static long[] powers() {
    long[] words = new long[2 * (MAX_POWER - MIN_POWER + 1)];
    for (int k = MIN_POWER; k <= MAX_POWER; k++) {
      BigInteger power = BigInteger.TEN.pow(Math.abs(k));
      BigInteger numerator = k < 0 ? BigInteger.ONE : power;
      BigInteger denominator = k < 0 ? power : BigInteger.ONE;
      // 10^k lies in [2^e, 2^(e+1)), and 128 bits are asked for.
      int e = k < 0 ? -power.bitLength() : power.bitLength() - 1;
      int shift = 127 - e;
      BigInteger[] parts = (shift > 0 ? numerator.shiftLeft(shift) : numerator)
          .divideAndRemainder(shift < 0 ? denominator.shiftLeft(-shift) : denominator);
      BigInteger rounded = parts[1].signum() == 0 ? parts[0] : parts[0].add(BigInteger.ONE);
      words[2 * (k - MIN_POWER)] = rounded.shiftRight(64).longValue();
      words[2 * (k - MIN_POWER) + 1] = rounded.longValue();
    }
    return words;
  }
}
