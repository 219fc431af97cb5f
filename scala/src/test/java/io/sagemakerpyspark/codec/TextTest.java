package io.sagemakerpyspark.codec;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.apache.spark.ml.linalg.DenseMatrix;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.SparseVector;
import org.junit.Test;

/** Numbers as Python's repr writes them, and lines as codecs/text.py does. */
public class TextTest {
  /** What CPython 3.11 prints for repr(float(text)). */
  private static final String[] REPRS = {
    "0.0", "-0.0", "1.0", "-1.0", "0.1", "0.3", "1.5", "100.0", "123456.789", "-2.5", "1e-05", "0.0001", "0.00012345678901234567",
    "9007199254740991.0", "9007199254740992.0", "9007199254740994.0", "1234567890123456.0", "1e+16", "1.2345678901234568e+16",
    "1e+22", "1e+23", "2e+23", "8.41e+21", "2.0000000000000003e-308", "5e-324", "1e-323", "2.2250738585072014e-308",
    "2.225073858507201e-308", "1.7976931348623157e+308", "5.684341886080802e-14", "2.9802322387695312e-08",
    "1.1920928955078125e-07", "4.35", "0.10000000149011612", "1.3e-45", "1.401298464324817e-45", "16777217.0", "2.2e-322",
    "4.4501477170144023e-308", "9.5367431640625e-07", "2.98023223876953e-08", "4503599627370495.5", "2251799813685248.5"};

  @Test
  public void numbersAreThoseOfPython() {
    for (String text : REPRS) {
      assertEquals(text, repr(Double.parseDouble(text)));
    }
    assertEquals("NaN", repr(Double.NaN));
    assertEquals("NaN", repr(Double.longBitsToDouble(0xFFF8000000000001L)));
    assertEquals("Infinity", repr(Double.POSITIVE_INFINITY));
    assertEquals("-Infinity", repr(Double.NEGATIVE_INFINITY));
  }

  /** The slow way: the first of 1 to 17 digits, rounded from the exact value, that reads back. */
  @Test
  public void noShorterDecimalReadsBack() {
    Random random = new Random(7);
    for (int i = 0; i < 100000; i++) {
      double value = i % 2 == 0 ? Double.longBitsToDouble(random.nextLong() & Long.MAX_VALUE)
          : random.nextInt(1000000) / Math.pow(10, random.nextInt(9));
      // Around a power of two the closest decimal of a length need not be one that reads back.
      if (Double.isNaN(value) || Double.isInfinite(value) || (Double.doubleToRawLongBits(value) & 0xFFFFFFFFFFFFFL) == 0) {
        continue;
      }
      String made = repr(value);
      assertTrue(made, Double.parseDouble(made) == value);
      BigDecimal exact = new BigDecimal(value);
      int digits = 1;
      while (exact.round(new MathContext(digits, RoundingMode.HALF_EVEN)).doubleValue() != value) {
        digits++;
      }
      BigDecimal expected = exact.round(new MathContext(digits, RoundingMode.HALF_EVEN));
      assertTrue(made + " is " + expected, new BigDecimal(made).compareTo(expected) == 0);
    }
  }

  @Test
  public void csv() {
    assertEquals("1.0,0.0,2.5\n", line(new double[] {1, 0, 2.5}, null, "csv"));
    assertEquals("-0.0,1.0\n", line(new double[] {1}, -0.0, "csv"));
    assertEquals("0.0,0.0,4.0,0.0\n", line(new SparseVector(4, new int[] {2}, new double[] {4}), null, "csv"));
    assertEquals("\n", line(new double[0], null, "csv"));
    assertEquals("7.0\n", line(new double[0], 7.0, "csv"));
    assertEquals("NaN,Infinity,-Infinity\n",
        line(new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}, null, "csv"));
  }

  @Test
  public void libsvm() {
    assertEquals("1.0 0:1.0 2:2.5\n", line(new double[] {1, 0, 2.5}, 1.0, "libsvm"));
    assertEquals("0.0 0:0.0 1:4.0 2:0.0\n", line(new SparseVector(3, new int[] {1}, new double[] {4}), -0.0, "libsvm"));
    assertEquals("0.0 0:0.0 1:0.0\n", line(new double[] {-0.0, -0.0}, null, "libsvm"));
    assertEquals("0.0 0:0.0 8:0.0\n", line(new SparseVector(9, new int[] {3}, new double[] {0}), null, "libsvm"));
    assertEquals("0.0 0:0.0\n", line(new SparseVector(1, new int[0], new double[0]), null, "libsvm"));
    assertEquals("NaN\n", line(new double[0], Double.NaN, "libsvm"));
  }

  @Test
  public void json() {
    assertEquals("{\"features\": [1.0, -0.0]}\n", line(new double[] {1, -0.0}, 5.0, "jsonlines"));
    assertEquals("{\"features\": []}\n", line(new double[0], null, "jsonlines"));
    assertEquals("{\"data\": {\"features\": {\"keys\": [1, 2], \"shape\": [3], \"values\": [4.0, 0.0]}}}\n",
        line(new SparseVector(3, new int[] {1, 2}, new double[] {4, 0}), null, "jsonlines"));
  }

  @Test
  public void nullRowsHaveNoLine() {
    assertNull(new TextUdf().call(null, "csv"));
    assertNull(new LabeledTextUdf().call(null, 1.0, "csv"));
    assertNull(new LabeledTextUdf().call(new double[] {1}, null, "csv"));
  }

  @Test
  public void whatNoLineCanHoldIsRefused() {
    String tooLarge = refused(new SparseVector(Integer.MAX_VALUE, new int[0], new double[0]), "csv");
    assertTrue(tooLarge, tooLarge.startsWith("RecordTooLarge: a line of text must be smaller than 2147483640 bytes, this row "
        + "has 8589934588 or more (2147483647 features)"));
    String matrix = refused(new DenseMatrix(1, 1, new double[] {1}, false), "csv");
    assertTrue(matrix, matrix.startsWith("CodecError: a text format cannot carry a matrix"));
    assertTrue(refused(new Object[] {1.0, null}, "csv").contains("CodecError: features must not hold nulls"));
    assertTrue(refused(new double[0], "xml").contains("got xml"));
  }

  private static String refused(Object features, String format) {
    return assertThrows(IllegalArgumentException.class, () -> new TextUdf().call(features, format)).getMessage();
  }

  private static String line(Object features, Double label, String format) {
    Object row = features instanceof double[] ? new DenseVector((double[]) features) : features;
    byte[] made = label == null ? new TextUdf().call(row, format) : new LabeledTextUdf().call(row, label, format);
    return new String(made, StandardCharsets.US_ASCII);
  }

  private static String repr(double value) {
    byte[] out = new byte[ShortestDecimal.MAX_LENGTH];
    return new String(out, 0, ShortestDecimal.write(value, out, 0), StandardCharsets.US_ASCII);
  }
}
