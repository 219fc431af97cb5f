package io.sagemakerpyspark.codec;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.file.Files;
import java.util.Collections;
import java.util.List;
import org.apache.spark.ml.linalg.DenseVector;
import org.apache.spark.ml.linalg.Matrix;
import org.apache.spark.ml.linalg.SparseMatrix;
import org.apache.spark.ml.linalg.SparseVector;
import org.junit.Test;

/** Every row of proto/vectors, to the bytes that 1.4.5 wrote and back; what a reader must refuse, and what it must take. */
public class VectorsTest {

  @Test
  public void everyVectorIsTheSameBytes() throws Exception {
    for (File file : Cases.files("", ".json", 11)) {
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      for (Cases.Row row : Cases.rows(file)) {
        out.write(row.label == null ? new RecordIOUdf().call(row.features)
            : new LabeledRecordIOUdf().call(row.features, row.label));
      }
      assertArrayEquals(file.getName(), Cases.bytes(file), out.toByteArray());
    }
  }

  @Test
  public void everyVectorReadsBack() throws Exception {
    for (File file : Cases.files("", ".json", 11)) {
      List<Cases.Row> rows = Cases.rows(file);
      try (RecordReader reader = new RecordReader(Cases.bytes(file))) {
        for (Cases.Row row : rows) {
          assertTrue(file.getName(), reader.next());
          check(file.getName(), row, reader.record());
        }
        assertFalse(file.getName(), reader.next());
      }
    }
  }

  private static void check(String name, Cases.Row row, RecordMessage record) {
    Tensor tensor = record.features.get("values");
    assertEquals(name, Collections.singleton("values"), record.features.keySet());
    assertEquals(name, "float32", tensor.kind);
    assertNull(name, record.uid);
    double[] values;
    long[] keys = null;
    long[] shape = null;
    if (row.features instanceof DenseVector) {
      values = ((DenseVector) row.features).values();
    } else if (row.features instanceof SparseVector) {
      SparseVector v = (SparseVector) row.features;
      values = v.values();
      keys = new long[values.length];
      for (int i = 0; i < keys.length; i++) {
        keys[i] = v.indices()[i];
      }
      shape = new long[] {v.size()};
    } else {
      Matrix m = (Matrix) row.features;
      shape = new long[] {m.numRows(), m.numCols()};
      boolean sparse = m instanceof SparseMatrix;
      values = sparse ? ((SparseMatrix) m).values() : m.transpose().toArray();
      keys = sparse ? keys((SparseMatrix) m) : null;
    }
    assertArrayEquals(name, Numbers.bits(Numbers.float32(values)), Numbers.bits(tensor.values));
    assertArrayEquals(name, keys == null || keys.length == 0 ? null : keys, tensor.keys);
    assertArrayEquals(name, shape, tensor.shape);
    if (row.label == null) {
      assertTrue(name, record.label.isEmpty());
    } else {
      assertArrayEquals(name, Numbers.bits(Numbers.float32(row.label)), Numbers.bits(record.label.get("values").values));
    }
  }

  private static long[] keys(SparseMatrix m) {
    long[] keys = new long[m.values().length];
    for (int col = 0; col < m.numCols(); col++) {
      for (int at = m.colPtrs()[col]; at < m.colPtrs()[col + 1]; at++) {
        keys[at] = (long) m.rowIndices()[at] * m.numCols() + col;
      }
    }
    return keys;
  }

  @Test
  public void whatMustBeRefusedIs() throws Exception {
    for (File file : Cases.files("refused", ".bin", 12)) {
      IllegalArgumentException problem = assertThrows(file.getName(), IllegalArgumentException.class, () -> {
        try (RecordReader reader = new RecordReader(Files.readAllBytes(file.toPath()))) {
          while (reader.next()) {
            reader.record();
          }
        }
      });
      assertTrue(problem.getMessage(), problem.getMessage().contains("offset"));
    }
  }

  @Test
  public void whatMustBeTakenIs() throws Exception {
    for (File file : Cases.files("read", ".json", 6)) {
      StringBuilder found = new StringBuilder("[");
      try (RecordReader reader = new RecordReader(Cases.bytes(file))) {
        while (reader.next()) {
          found.append(found.length() > 1 ? "," : "").append(Json.of(reader.record()));
        }
      }
      assertEquals(file.getName(), Json.normal(Cases.text(file)), Json.normal(found + "]"));
    }
  }
}
