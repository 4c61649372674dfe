package org.tensorflow.lite;

import java.util.Map;

/** What LiteRT's public interface has of that name, as far as a card needs it. */
public interface InterpreterApi extends AutoCloseable {
  void runSignature(
      Map<String, Object> inputs, Map<String, Object> outputs, String signatureKey);

  @Override
  void close();
}
