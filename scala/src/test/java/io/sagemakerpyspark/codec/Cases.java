package io.sagemakerpyspark.codec;

import static org.junit.Assert.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.ml.linalg.DenseMatrix;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.SparseMatrix;
import org.apache.spark.ml.linalg.SparseVector;

/** The files of proto/vectors. They are written by us and always in one form, so no JSON library is asked for. */
final class Cases {
  static final File FOLDER = new File("../proto/vectors");

  private Cases() {}

  static final class Row {
    final Double label;
    final Object features;

    Row(Double label, Object features) {
      this.label = label;
      this.features = features;
    }
  }

  /** Files of a folder below proto/vectors with an ending, at least as many as there were once. */
  static List<File> files(String folder, String ending, int least) {
    File[] found = new File(FOLDER, folder).listFiles((dir, name) -> name.endsWith(ending));
    assertTrue(folder + " has fewer files than " + least, found != null && found.length >= least);
    Arrays.sort(found);
    return Arrays.asList(found);
  }

  static byte[] bytes(File json) throws IOException {
    return Files.readAllBytes(new File(json.getPath().replace(".json", ".bin")).toPath());
  }

  static String text(File file) throws IOException {
    return new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
  }

  static List<Row> rows(File json) throws IOException {
    String text = text(json);
    List<Row> made = new ArrayList<>();
    // Each row begins with its label.
    String[] rows = text.substring(text.indexOf("\"rows\"")).split("\"label\"\\s*:");
    for (int at = 1; at < rows.length; at++) {
      made.add(row(rows[at]));
    }
    return made;
  }

  private static Row row(String row) {
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
    return new Row(value, features);
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
