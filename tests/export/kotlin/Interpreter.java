package org.tensorflow.lite;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;

/**
 * Stands for LiteRT's class, with the signatures of its public source. Answers what `answers.txt`
 * beside the model holds: a line a source, its ids, its rows of target ids and their log
 * probabilities, parts between `|`.
 */
public final class Interpreter implements InterpreterApi {
  private final Map<String, String[]> answers = new HashMap<>();

  public Interpreter(File modelFile) {
    File file = new File(modelFile.getParentFile(), "answers.txt");
    try (Stream<String> lines = Files.lines(file.toPath())) {
      lines.map(line -> line.split("\\|")).forEach(parts -> answers.put(parts[0], parts));
    } catch (IOException error) {
      throw new IllegalArgumentException(error);
    }
  }

  @Override
  public void runSignature(
      Map<String, Object> inputs, Map<String, Object> outputs, String signatureKey) {
    if (!signatureKey.equals("serving_default") || inputs.size() != 1) {
      throw new IllegalArgumentException(signatureKey + inputs.keySet());
    }
    int[][] ids = (int[][]) inputs.get("encoder_token_ids");
    StringBuilder key = new StringBuilder();
    for (int id : ids[0]) key.append(key.length() == 0 ? "" : " ").append(id);
    String[] parts = answers.get(key.toString());
    int[][][] tokens = (int[][][]) outputs.get("token_ids");
    float[][] logProbs = (float[][]) outputs.get("log_probs");
    // Of other sizes than the file's tensors the real one refuses arrays too.
    if (tokens[0].length != parts.length - 2 || logProbs[0].length != parts.length - 2) {
      throw new IllegalArgumentException("hypotheses: " + tokens[0].length);
    }
    String[] numbers = parts[parts.length - 1].split(" ");
    for (int row = 0; row < parts.length - 2; row++) {
      String[] values = parts[row + 1].split(" ");
      if (tokens[0][row].length != values.length) {
        throw new IllegalArgumentException("length: " + tokens[0][row].length);
      }
      for (int i = 0; i < values.length; i++) tokens[0][row][i] = Integer.parseInt(values[i]);
      logProbs[0][row] = Float.parseFloat(numbers[row]);
    }
  }

  @Override
  public void close() {}
}
