package io.sagemakerpyspark.codec;

import java.util.Arrays;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** A record as the files of proto/vectors/read say it. */
final class Json {
  private Json() {}

  static String of(RecordMessage record) {
    return "{\"features\":" + of(record.features) + ",\"label\":" + of(record.label) + ",\"uid\":" + of(record.uid)
        + ",\"metadata\":" + of(record.metadata) + ",\"configuration\":" + of(record.configuration) + "}";
  }

  private static String of(Map<String, Tensor> tensors) {
    return tensors.entrySet().stream().map(entry -> of(entry.getKey()) + ":" + of(entry.getValue()))
        .collect(Collectors.joining(",", "{", "}"));
  }

  private static String of(Tensor tensor) {
    String values = tensor.isBytes()
        ? Arrays.stream(tensor.bytes).map(Json::hex).collect(Collectors.joining(",", "[", "]"))
        : Arrays.toString(tensor.values);
    return "{\"values\":" + values + ",\"keys\":" + Arrays.toString(tensor.keys) + ",\"shape\":"
        + Arrays.toString(tensor.shape) + "}";
  }

  private static String hex(byte[] bytes) {
    StringBuilder made = new StringBuilder("\"");
    for (byte b : bytes) {
      made.append(String.format("%02x", b));
    }
    return made.append('"').toString();
  }

  private static String of(String text) {
    return text == null ? "null" : "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"") + "\"";
  }

  /** Without white space (our texts have none), and every number as Java writes doubles. */
  static String normal(String json) {
    Matcher numbers = Pattern.compile("(?<=[\\[,:])-?[0-9][-+.eE0-9]*(?=[],}])").matcher(json.replaceAll("\\s", ""));
    StringBuffer made = new StringBuffer();
    while (numbers.find()) {
      numbers.appendReplacement(made, Double.toString(Double.parseDouble(numbers.group())));
    }
    return numbers.appendTail(made).toString();
  }
}
