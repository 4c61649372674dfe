// Runs model.tflite with LiteRT's C API: ids in, ids and log probabilities out.
//
//   g++ -std=c++17 generate.cpp -o generate -L LITERT -l:libLiteRt.so -Wl,-rpath,LITERT
//   ./generate model.tflite 6 4 5 3          (the source's ids, the end id last)
//
// LITERT is a folder with libLiteRt.so 2.3, such as that of Python's package ai_edge_litert.
// One line a hypothesis comes out, the best first: its log probability and its ids.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
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
  int element_type;  // 1 float32, 2 int32
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
Status LiteRtRunCompiledModel(Handle, size_t signature, size_t, Handle* inputs, size_t,
                              Handle* outputs);
}
static_assert(sizeof(TensorType) == 72, "LiteRT's tensor type has 72 bytes");
constexpr int kEndId = 3;  // signatures.json: target, end.
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

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s model.tflite ID...\n", argv[0]);
    return 2;
  }
  std::vector<int32_t> ids;
  for (int i = 2; i < argc; ++i) ids.push_back(std::atoi(argv[i]));

  Handle environment, model, options, compiled, signature;
  Check(LiteRtCreateEnvironment(0, nullptr, &environment), "making an environment");
  Check(LiteRtCreateModelFromFile(environment, argv[1], &model), "reading the model");
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

  // The input gets the length of this source.
  const int dims[] = {1, static_cast<int>(ids.size())};
  Check(LiteRtCompiledModelResizeInputTensor(compiled, index, 0, dims, 2), "resizing");
  TensorType type{};
  type.element_type = 2;
  type.layout.rank = 2;
  type.layout.dimensions[0] = dims[0];
  type.layout.dimensions[1] = dims[1];
  Handle input;
  void* address;
  const size_t bytes = ids.size() * sizeof(int32_t);
  Check(LiteRtCreateManagedTensorBuffer(environment, kHostMemory, &type, bytes, &input),
        "making the input");
  Check(LiteRtLockTensorBuffer(input, &address, kWrite), "locking the input");
  std::memcpy(address, ids.data(), bytes);
  Check(LiteRtUnlockTensorBuffer(input), "unlocking the input");

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
  Check(LiteRtRunCompiledModel(compiled, index, 1, &input, count, outputs.data()), "running");

  const int32_t* token_ids = nullptr;
  const float* log_probs = nullptr;
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
    }
  }
  if (!token_ids || !log_probs) Check(-1, "finding token_ids and log_probs");
  for (int row = 0; row < hypotheses; ++row) {
    std::printf("%.4f", log_probs[row]);
    for (int i = 0; i < length && token_ids[row * length + i] != kEndId; ++i)
      std::printf(" %d", token_ids[row * length + i]);
    std::printf("\n");
  }
  return 0;
}
