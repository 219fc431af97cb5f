package io.sagemakerpyspark.codec;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** One Record with everything in it; see proto/record.proto. Fields that the schema does not have are passed over. */
public final class RecordMessage {
  private static final int FEATURES = 1 << 3 | Wire.BYTES;
  private static final int LABEL = 2 << 3 | Wire.BYTES;
  private static final int UID = 3 << 3 | Wire.BYTES;
  private static final int METADATA = 4 << 3 | Wire.BYTES;
  private static final int CONFIGURATION = 5 << 3 | Wire.BYTES;

  /** By key, in the order of the record. */
  public final Map<String, Tensor> features;
  public final Map<String, Tensor> label;
  /** Null where the record has none; so are the next two. */
  public final String uid;
  public final String metadata;
  public final String configuration;

  private RecordMessage(Wire in) {
    Map<String, TensorParser> parsedFeatures = new LinkedHashMap<>();
    Map<String, TensorParser> parsedLabel = new LinkedHashMap<>();
    Wire lastUid = null;
    Wire lastMetadata = null;
    Wire lastConfiguration = null;
    while (in.more()) {
      int tag = in.tag();
      switch (tag) {
        case FEATURES:
          entry(in.message(), parsedFeatures);
          break;
        case LABEL:
          entry(in.message(), parsedLabel);
          break;
        case UID:
          lastUid = in.message();
          break;
        case METADATA:
          lastMetadata = in.message();
          break;
        case CONFIGURATION:
          lastConfiguration = in.message();
          break;
        default:
          in.skip(tag);
      }
    }
    features = finish(parsedFeatures, in);
    label = finish(parsedLabel, in);
    uid = lastUid == null ? null : lastUid.text("uid");
    metadata = lastMetadata == null ? null : lastMetadata.text("metadata");
    configuration = lastConfiguration == null ? null : lastConfiguration.text("configuration");
  }

  /**
   * @param bytes that hold the message at {@code start}
   * @param offset of the message in its stream, for error messages
   * @throws IllegalArgumentException if the bytes are not a Record, or a tensor's keys do not fit it
   */
  public static RecordMessage parse(byte[] bytes, int start, int length, long offset) {
    return new RecordMessage(new Wire(bytes, start, length, offset));
  }

  /** A map's entry: of the same key, a later one takes the place of the first. */
  private static void entry(Wire in, Map<String, TensorParser> into) {
    Wire key = null;
    TensorParser value = new TensorParser();
    while (in.more()) {
      int tag = in.tag();
      if (tag == (1 << 3 | Wire.BYTES)) {
        key = in.message();
      } else if (tag == (2 << 3 | Wire.BYTES)) {
        value.value(in.message());
      } else {
        in.skip(tag);
      }
    }
    into.put(key == null ? "" : key.text("a key"), value);
  }

  private static Map<String, Tensor> finish(Map<String, TensorParser> parsed, Wire in) {
    Map<String, Tensor> made = new LinkedHashMap<>();
    parsed.forEach((key, value) -> made.put(key, value.finish(in)));
    return Collections.unmodifiableMap(made);
  }
}
