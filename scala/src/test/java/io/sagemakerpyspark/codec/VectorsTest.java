package io.sagemakerpyspark.codec;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.ml.linalg.DenseMatrix;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.SparseMatrix;
import org.apache.spark.ml.linalg.SparseVector;
import org.junit.Test;

/** Every row of proto/vectors, to the bytes that 1.4.5 wrote. */
public class VectorsTest {
  private static final File FOLDER = new File("../proto/vectors");

  @Test
  public void everyVectorIsTheSameBytes() throws Exception {
    int cases = 0;
    for (File file : FOLDER.listFiles((dir, name) -> name.endsWith(".json"))) {
      String json = new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      // Each row begins with its label; the files are written by us and always in this form.
      String[] rows = json.substring(json.indexOf("\"rows\"")).split("\"label\"\\s*:");
      for (int at = 1; at < rows.length; at++) {
        out.write(encode(rows[at]));
      }
      byte[] expected = Files.readAllBytes(new File(FOLDER, file.getName().replace(".json", ".bin")).toPath());
      assertArrayEquals(file.getName(), expected, out.toByteArray());
      cases++;
    }
    assertTrue("vectors found: " + cases, cases >= 11);
  }

  private static byte[] encode(String row) {
    Matcher label = Pattern.compile("^\\s*(null|\"([0-9a-f]{16})\")").matcher(row);
    assertTrue(label.find());
    Double value = label.group(2) == null ? null : number(label.group(2));
    Object features;
    if (row.contains("\"dense\"")) {
      features = new DenseVector(numbers(row, "dense"));
    } else if (row.contains("\"sparse\"")) {
      features = new SparseVector(ints(row, "size")[0], ints(row, "indices"), numbers(row, "values"));
    } else if (row.contains("\"dense_matrix\"")) {
      features = new DenseMatrix(ints(row, "rows")[0], ints(row, "cols")[0], numbers(row, "column_major_values"), false);
    } else {
      features = new SparseMatrix(ints(row, "rows")[0], ints(row, "cols")[0], ints(row, "colPtrs"), ints(row, "rowIndices"),
          numbers(row, "values"), false);
    }
    return value == null ? new RecordIOUdf().call(features) : new LabeledRecordIOUdf().call(features, value);
  }

  private static double number(String hex) {
    return Double.longBitsToDouble(Long.parseUnsignedLong(hex, 16));
  }

  private static String part(String row, String name) {
    Matcher found = Pattern.compile("\"" + name + "\"\\s*:\\s*(\\[[^\\]]*\\]|[0-9]+)").matcher(row);
    assertTrue(name + " in " + row, found.find());
    return found.group(1);
  }

  private static double[] numbers(String row, String name) {
    List<Double> made = new ArrayList<>();
    Matcher each = Pattern.compile("\"([0-9a-f]{16})\"").matcher(part(row, name));
    while (each.find()) {
      made.add(number(each.group(1)));
    }
    return made.stream().mapToDouble(d -> d).toArray();
  }

  private static int[] ints(String row, String name) {
    List<Integer> made = new ArrayList<>();
    Matcher each = Pattern.compile("[0-9]+").matcher(part(row, name));
    while (each.find()) {
      made.add(Integer.parseInt(each.group()));
    }
    return made.stream().mapToInt(i -> i).toArray();
  }
}
