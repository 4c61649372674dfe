// Runs model.tflite with LiteRT's C API: a source in, ids and log probabilities out.
//
//   g++ -std=c++17 generate.cpp -o generate -L LITERT -l:libLiteRt.so -Wl,-rpath,LITERT
//   ./generate model.tflite 6 4 5 3          (a text model: the ids, the end id last)
//   ./generate model.tflite sound.wav        (a model of sound: 16 bits, its sample rate)
//   ./generate model.tflite sound.f32        (else a file of float32: the samples, or the
//                                             frames one after the other)
//   ./generate model.tflite --text target_vocabulary.txt sound.wav
//   ./generate model.tflite --check test_vectors.json
//
// LITERT is a folder with libLiteRt.so 2.3, such as that of Python's package ai_edge_litert.
// One line a hypothesis comes out, the best first: its log probability and its ids; with --text
// the text alone.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

// The few declarations that are needed; with LiteRT's headers, include these in their place:
// litert_environment.h, litert_model.h, litert_options.h, litert_compiled_model.h,
// litert_tensor_buffer.h.
extern "C" {
struct Layout {
  unsigned int rank : 7;
  bool has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
};
struct TensorType {
  int element_type;
  Layout layout;
};
typedef void* Handle;
typedef int Status;  // 0 is success.
Status LiteRtCreateEnvironment(int, const void*, Handle*);
Status LiteRtCreateModelFromFile(Handle environment, const char*, Handle* model);
Status LiteRtCreateOptions(Handle*);
Status LiteRtSetOptionsHardwareAccelerators(Handle options, int);
Status LiteRtCreateCompiledModel(Handle environment, Handle model, Handle options, Handle*);
Status LiteRtGetNumModelSignatures(Handle model, size_t*);
Status LiteRtGetModelSignature(Handle model, size_t, Handle* signature);
Status LiteRtGetSignatureKey(Handle signature, const char**);
Status LiteRtGetNumSignatureInputs(Handle signature, size_t*);
Status LiteRtGetSignatureInputName(Handle signature, size_t, const char**);
Status LiteRtGetNumSignatureOutputs(Handle signature, size_t*);
Status LiteRtGetSignatureOutputName(Handle signature, size_t, const char**);
Status LiteRtGetSignatureInputTensorByIndex(Handle signature, size_t, Handle* tensor);
Status LiteRtGetSignatureOutputTensorByIndex(Handle signature, size_t, Handle* tensor);
Status LiteRtGetRankedTensorType(Handle tensor, TensorType*);
Status LiteRtCompiledModelResizeInputTensor(Handle, size_t signature, size_t input,
                                            const int* dims, size_t rank);
Status LiteRtGetCompiledModelOutputTensorLayouts(Handle, size_t signature, size_t count,
                                                 Layout*, bool update_allocation);
Status LiteRtCreateManagedTensorBuffer(Handle environment, int buffer_type,
                                       const TensorType*, size_t bytes, Handle* buffer);
Status LiteRtLockTensorBuffer(Handle buffer, void** address, int mode);
Status LiteRtUnlockTensorBuffer(Handle buffer);
void LiteRtDestroyTensorBuffer(Handle buffer);
Status LiteRtRunCompiledModel(Handle, size_t signature, size_t, Handle* inputs, size_t,
                              Handle* outputs);
}
static_assert(sizeof(TensorType) == 72, "LiteRT's tensor type has 72 bytes");
constexpr int kPaddingId = 0, kStartId = 2, kEndId = 3;  // signatures.json: target.
// What an export writes here, of signatures.json: the sample rate of a model of sound, and how
// tokens become text: whether by joining them, with what between, which characters stand for
// the 256 bytes, what targets begin with, which runs of ids are no text, and whether spaces
// around it are.
constexpr int kSampleRate = 0;
constexpr bool kJoins = false;
const char* const kSeparator = "";
const char* const kCharacters = "";
const std::vector<int32_t> kBegin = {};
const std::vector<std::pair<int32_t, int32_t>> kUnwritten = {};
constexpr bool kStrips = false;
constexpr double kTolerance = 1e-3;  // test_vectors.json: tolerance.
constexpr int kFloat32 = 1, kInt32 = 2;
constexpr int kCpu = 1, kHostMemory = 1, kRead = 0, kWrite = 1;

void Check(Status status, const char* what) {
  if (status != 0) {
    std::fprintf(stderr, "%s failed with status %d\n", what, status);
    std::exit(1);
  }
}

size_t Elements(const Layout& layout) {
  size_t product = 1;
  for (unsigned int axis = 0; axis < layout.rank; ++axis) product *= layout.dimensions[axis];
  return product;
}

struct Input {
  TensorType type;
  std::vector<char> bytes;
};

template <typename T>
std::vector<char> Bytes(const std::vector<T>& values) {
  const char* begin = reinterpret_cast<const char*>(values.data());
  return std::vector<char>(begin, begin + values.size() * sizeof(T));
}

std::vector<char> ReadFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Check(-1, "opening the file of the source");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void Refuse(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
  std::exit(1);
}

// A number of a WAV file, lowest byte first.
uint32_t Number(const std::vector<char>& bytes, size_t at, int size) {
  uint32_t number = 0;
  for (int i = 0; i < size; ++i)
    number |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return number;
}

// The samples of a WAV file of 16 bits, from -1 to 1; of several channels their mean.
std::vector<char> ReadWav(const char* path) {
  const std::vector<char> bytes = ReadFile(path);
  const std::string name = path;
  if (bytes.size() < 12 || std::memcmp(&bytes[0], "RIFF", 4) ||
      std::memcmp(&bytes[8], "WAVE", 4))
    Refuse(name + " is no WAV file.");
  size_t channels = 0;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t begin = at + 8;
    const size_t size = std::min<size_t>(Number(bytes, at + 4, 4), bytes.size() - begin);
    if (std::memcmp(&bytes[at], "fmt ", 4) == 0 && size >= 16) {
      channels = Number(bytes, begin + 2, 2);
      const int rate = static_cast<int>(Number(bytes, begin + 4, 4));
      // 1: whole numbers; 0xFFFE: as it says behind, in practice the same.
      const uint32_t format = Number(bytes, begin, 2);
      if ((format != 1 && format != 0xFFFE) || Number(bytes, begin + 14, 2) != 16 ||
          channels == 0 || rate != kSampleRate)
        Refuse(name + " must have 16 bits and " + std::to_string(kSampleRate) +
               " samples a second: ffmpeg -i " + name + " -ar " +
               std::to_string(kSampleRate) + " -sample_fmt s16 new.wav");
    } else if (std::memcmp(&bytes[at], "data", 4) == 0 && channels) {
      std::vector<float> samples(size / (2 * channels));
      for (size_t i = 0; i < samples.size(); ++i) {
        float sum = 0;
        for (size_t channel = 0; channel < channels; ++channel)
          sum += static_cast<int16_t>(Number(bytes, begin + 2 * (i * channels + channel), 2));
        samples[i] = sum / channels / 32768;
      }
      return Bytes(samples);
    }
    at = begin + size + size % 2;
  }
  Refuse(name + " has no sound.");
  return {};
}

// A source: ids of a text model, or the bytes of floats.
struct Source {
  std::vector<int32_t> ids;
  std::vector<char> floats;
};

// What comes out: a hypothesis has its log probability and its ids before the end.
struct Hypothesis {
  float log_prob;
  std::vector<int32_t> ids;
};

// What the input of a name gets, with its shape; `type` is as the model has it. Of a source of
// floats the second axis is the length, and what follows it the size of a frame.
Input MakeInput(const char* name, TensorType type, const Source& source) {
  if (type.element_type == kInt32 && std::strcmp(name, "encoder_token_ids") == 0) {
    type.layout.dimensions[1] = static_cast<int32_t>(source.ids.size());
    return {type, Bytes(source.ids)};
  }
  size_t frame = sizeof(float);
  if (type.element_type == kFloat32) {
    for (unsigned int axis = 2; axis < type.layout.rank; ++axis)
      frame *= type.layout.dimensions[axis];
    if (source.floats.empty() || source.floats.size() % frame)
      Check(-1, "cutting the source into frames");
    type.layout.dimensions[1] = static_cast<int32_t>(source.floats.size() / frame);
    return {type, source.floats};
  }
  return {type, {}};  // The length, which is known when the source is.
}

struct Model {
  Handle environment, compiled, signature;
  size_t index;  // Of the signature.
};

Model Load(const char* path) {
  Handle environment, model, options, compiled, signature;
  Check(LiteRtCreateEnvironment(0, nullptr, &environment), "making an environment");
  Check(LiteRtCreateModelFromFile(environment, path, &model), "reading the model");
  Check(LiteRtCreateOptions(&options), "making options");
  Check(LiteRtSetOptionsHardwareAccelerators(options, kCpu), "choosing the processor");
  Check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compiling");

  size_t count = 0, index = 0;
  Check(LiteRtGetNumModelSignatures(model, &count), "counting signatures");
  for (;; ++index) {
    if (index == count) Check(-1, "finding serving_default");
    const char* key;
    Check(LiteRtGetModelSignature(model, index, &signature), "reading a signature");
    Check(LiteRtGetSignatureKey(signature, &key), "reading a signature's name");
    if (std::strcmp(key, "serving_default") == 0) break;
  }
  return {environment, compiled, signature, index};
}

// The hypotheses of a source, the best first.
std::vector<Hypothesis> Generate(const Model& model, const Source& source) {
  const Handle environment = model.environment, compiled = model.compiled;
  const Handle signature = model.signature;
  const size_t index = model.index;
  // The inputs get the length of this source.
  size_t input_count = 0, count = 0;
  Check(LiteRtGetNumSignatureInputs(signature, &input_count), "counting inputs");
  std::vector<Input> given;
  int32_t length_of_source = 0;
  TensorType type{};
  for (size_t i = 0; i < input_count; ++i) {
    const char* name;
    Handle tensor;
    Check(LiteRtGetSignatureInputName(signature, i, &name), "reading an input's name");
    Check(LiteRtGetSignatureInputTensorByIndex(signature, i, &tensor), "reading an input");
    Check(LiteRtGetRankedTensorType(tensor, &type), "reading an input's type");
    given.push_back(MakeInput(name, type, source));
    if (!given[i].bytes.empty()) length_of_source = given[i].type.layout.dimensions[1];
  }
  std::vector<Handle> inputs(input_count);
  void* address;
  for (size_t i = 0; i < input_count; ++i) {
    Input& one = given[i];
    if (one.bytes.empty()) one.bytes = Bytes(std::vector<int32_t>{length_of_source});
    const Layout& layout = one.type.layout;
    Check(LiteRtCompiledModelResizeInputTensor(compiled, index, i, layout.dimensions,
                                               layout.rank),
          "resizing");
    Check(LiteRtCreateManagedTensorBuffer(environment, kHostMemory, &one.type,
                                          one.bytes.size(), &inputs[i]),
          "making an input");
    Check(LiteRtLockTensorBuffer(inputs[i], &address, kWrite), "locking an input");
    std::memcpy(address, one.bytes.data(), one.bytes.size());
    Check(LiteRtUnlockTensorBuffer(inputs[i]), "unlocking an input");
  }

  Check(LiteRtGetNumSignatureOutputs(signature, &count), "counting outputs");
  std::vector<Layout> layouts(count);
  Check(LiteRtGetCompiledModelOutputTensorLayouts(compiled, index, count, layouts.data(), true),
        "reading the shapes of the outputs");
  std::vector<Handle> outputs(count);
  for (size_t i = 0; i < count; ++i) {
    Handle tensor;
    Check(LiteRtGetSignatureOutputTensorByIndex(signature, i, &tensor), "reading an output");
    Check(LiteRtGetRankedTensorType(tensor, &type), "reading an output's type");
    type.layout = layouts[i];
    Check(LiteRtCreateManagedTensorBuffer(environment, kHostMemory, &type,
                                          Elements(type.layout) * 4, &outputs[i]),
          "making an output");
  }
  // Twice: in the first run LiteRT's default delegate can compute with what lay in its memory.
  for (int run = 0; run < 2; ++run) {
    Check(LiteRtRunCompiledModel(compiled, index, input_count, inputs.data(), count,
                                 outputs.data()), "running");
  }

  const int32_t* token_ids = nullptr;
  const float *log_probs = nullptr, *scores = nullptr;
  int hypotheses = 0, length = 0;
  for (size_t i = 0; i < count; ++i) {
    const char* name;
    Check(LiteRtGetSignatureOutputName(signature, i, &name), "reading an output's name");
    Check(LiteRtLockTensorBuffer(outputs[i], &address, kRead), "locking an output");
    if (std::strcmp(name, "token_ids") == 0) {
      token_ids = static_cast<const int32_t*>(address);
      hypotheses = layouts[i].dimensions[1];
      length = layouts[i].dimensions[2];
    } else if (std::strcmp(name, "log_probs") == 0) {
      log_probs = static_cast<const float*>(address);
    } else if (std::strcmp(name, "scores") == 0) {
      scores = static_cast<const float*>(address);
    }
  }
  // A search may have one tensor for both, for which LiteRT 2.3 has one name.
  if (!log_probs) log_probs = scores;
  if (!token_ids || !log_probs) Check(-1, "finding token_ids and log_probs");
  std::vector<Hypothesis> found;
  for (int row = 0; row < hypotheses; ++row) {
    const int32_t* begin = token_ids + row * length;
    const int32_t* end = std::find(begin, begin + length, kEndId);
    found.push_back({log_probs[row], {begin, end}});
  }
  for (Handle buffer : outputs) {
    Check(LiteRtUnlockTensorBuffer(buffer), "unlocking an output");
    LiteRtDestroyTensorBuffer(buffer);
  }
  for (Handle buffer : inputs) LiteRtDestroyTensorBuffer(buffer);
  return found;
}

// The numbers of a line of `test_vectors.json` between `"NAME": ` and the first closing bracket
// of the depth of its first opening ones; of nested lists one after the other.
std::vector<double> Numbers(const std::string& line, const std::string& name) {
  std::vector<double> numbers;
  const size_t at = line.find("\"" + name + "\": [");
  if (at == std::string::npos) return numbers;
  const char* place = line.c_str() + at + name.size() + 4;
  for (int depth = 0; *place; ++place) {
    if (*place == '[') ++depth;
    if (*place == ']' && --depth == 0) break;
    char* end;
    const double number = std::strtod(place, &end);
    if (end == place) continue;
    numbers.push_back(number);
    place = end - 1;
  }
  return numbers;
}

// Replays the test vectors; the number of those that give something else than at export.
int CheckVectors(const Model& model, const char* path) {
  std::ifstream file(path);
  if (!file) Check(-1, "opening the test vectors");
  std::string line;
  int checked = 0, wrong = 0;
  while (std::getline(file, line)) {
    const std::vector<double> log_probs = Numbers(line, "log_probs");
    if (log_probs.empty()) continue;  // The first line, or a source that is refused.
    const std::vector<double> ids = Numbers(line, "encoder_token_ids");
    std::vector<float> floats;
    for (double value : Numbers(line, "source")) floats.push_back(static_cast<float>(value));
    const std::vector<Hypothesis> found =
        Generate(model, {{ids.begin(), ids.end()}, Bytes(floats)});
    // Of the hypotheses one after the other the ids of the first come first.
    const size_t at = line.find("\"token_ids\": [[");
    const std::string best = line.substr(at, line.find(']', at) - at) + "]]";
    const std::vector<double> right = Numbers(best, "token_ids");
    bool same = !found.empty() && found.size() >= log_probs.size();
    same = same && std::vector<double>(found[0].ids.begin(), found[0].ids.end()) == right;
    for (size_t i = 0; same && i < log_probs.size(); ++i)
      same = std::fabs(found[i].log_prob - log_probs[i]) <=
             kTolerance * std::fmax(1, std::fabs(log_probs[i]));
    ++checked;
    if (!same) {
      ++wrong;
      std::printf("differs: %s\n", line.c_str());
    }
  }
  std::printf("%d of %d test vectors as exported\n", checked - wrong, checked);
  return wrong || !checked;
}

// The lines of a vocabulary: the number of a line is the id.
std::vector<std::string> ReadVocabulary(const char* path) {
  std::ifstream file(path);
  if (!file) Check(-1, "opening the vocabulary");
  std::vector<std::string> tokens;
  for (std::string line; std::getline(file, line);) tokens.push_back(line);
  return tokens;
}

// The characters of a text in UTF-8.
std::vector<std::string> Characters(const std::string& text) {
  std::vector<std::string> characters;
  for (char byte : text) {
    if ((byte & 0xC0) != 0x80 || characters.empty()) characters.emplace_back();
    characters.back() += byte;
  }
  return characters;
}

// The text of ids; bytes that are no UTF-8 are written as they are.
std::string Text(const std::vector<int32_t>& ids, const std::vector<std::string>& tokens) {
  std::vector<int32_t> written;
  for (int32_t id : ids) {
    bool is_text = id != kPaddingId && id != kStartId;
    for (const auto& run : kUnwritten) is_text &= id < run.first || id >= run.second;
    if (is_text) written.push_back(id);
  }
  std::string text;
  bool first = true;
  for (size_t i = 0; i < written.size(); ++i) {
    if (i < kBegin.size() && written[i] == kBegin[i]) continue;
    if (!first) text += kSeparator;
    first = false;
    text += tokens.at(written[i]);
  }
  std::map<std::string, char> bytes;
  for (const std::string& one : Characters(kCharacters))
    bytes.emplace(one, static_cast<char>(bytes.size()));
  if (!bytes.empty()) {
    std::string content;
    for (const std::string& one : Characters(text)) {
      const auto found = bytes.find(one);
      if (found == bytes.end()) content += one;
      else content += found->second;
    }
    text = content;
  }
  if (kStrips) {
    const size_t begin = text.find_first_not_of(' ');
    text = begin == std::string::npos
               ? ""
               : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
  }
  return text;
}

int main(int argc, char** argv) {
  const bool check = argc == 4 && std::strcmp(argv[2], "--check") == 0;
  const bool as_text = argc > 4 && std::strcmp(argv[2], "--text") == 0;
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: %s model.tflite [--text VOCABULARY] ID... | FILE\n"
                 "       %s model.tflite --check VECTORS\n", argv[0], argv[0]);
    return 2;
  }
  if (as_text && !kJoins)
    Refuse("The text of this model is not its tokens side by side: use litert_runner.py, or "
           "leave --text out.");
  const std::vector<std::string> tokens =
      as_text ? ReadVocabulary(argv[3]) : std::vector<std::string>();
  const Model model = Load(argv[1]);
  if (check) return CheckVectors(model, argv[3]);
  Source source;
  const int first = as_text ? 4 : 2;
  const std::string name = argv[first];
  // A text model takes ids; else the argument names a file.
  if (name.find_first_not_of("0123456789") == std::string::npos) {
    for (int i = first; i < argc; ++i) source.ids.push_back(std::atoi(argv[i]));
  } else if (kSampleRate && name.size() > 4 && name.substr(name.size() - 4) == ".wav") {
    source.floats = ReadWav(argv[first]);
  } else {
    source.floats = ReadFile(argv[first]);
  }
  for (const Hypothesis& one : Generate(model, source)) {
    if (as_text) {
      std::printf("%s\n", Text(one.ids, tokens).c_str());
      continue;
    }
    std::printf("%.4f", one.log_prob);
    for (int32_t id : one.ids) std::printf(" %d", id);
    std::printf("\n");
  }
  return 0;
}
