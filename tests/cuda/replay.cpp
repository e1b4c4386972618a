// Makes recorded calls of an emulated library, for processors that have no Python here: replay library calls out
//
// File of calls: for each the name and its arguments, each a kind and a payload; ends of files end both. Kinds: 'i'
// int64, 'f' float, 'd' double, 'n' null, 'b' a buffer by number, its bytes, and whether its contents follow (at its
// first use). Afterwards all buffers are written in the order of their numbers. Integers and pointers, and
// floating-point numbers, are counted apart when C functions are called on x86-64 and aarch64, so that one type of
// function serves all.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <vector>

using Function = int32_t (*)(double, double, double, double, double, double, double, double, int64_t, int64_t, int64_t,
                             int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                             int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                             int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                             int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);

static FILE* calls;
template <class T>
T read() {
  T value = {};
  if (fread(&value, sizeof(T), 1, calls) != 1) value = {};
  return value;
}

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
  calls = fopen(arguments[2], "rb");
  std::vector<std::vector<uint8_t>> buffers;
  while (const int32_t length = read<int32_t>()) {
    std::string name(length, ' ');
    if (fread(name.data(), 1, length, calls) != size_t(length)) return 2;
    const int32_t count = read<int32_t>();
    double d[8] = {};
    int64_t i[40] = {};
    int floats = 0, integers = 0;
    for (int32_t k = 0; k < count; k++) {
      const char kind = read<char>();
      if (kind == 'f') {
        const float value = read<float>();
        memcpy(&d[floats++], &value, 4);
      } else if (kind == 'd') {
        d[floats++] = read<double>();
      } else if (kind == 'b') {
        const int64_t number = read<int64_t>(), bytes = read<int64_t>();
        if (read<char>()) {
          buffers.resize(number + 1);
          buffers[number].resize(bytes ? bytes : 1);
          if (bytes && fread(buffers[number].data(), 1, bytes, calls) != size_t(bytes)) return 2;
        }
        i[integers++] = reinterpret_cast<int64_t>(buffers[number].data());
        buffers[number].resize(bytes);
      } else {
        i[integers++] = kind == 'i' ? read<int64_t>() : 0;
      }
    }
    const Function f = reinterpret_cast<Function>(dlsym(library, name.c_str()));
    if (!f) return fprintf(stderr, "no function %s\n", name.c_str()), 3;
    const int32_t code = f(d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7],
                           i[8], i[9], i[10], i[11], i[12], i[13], i[14], i[15], i[16], i[17], i[18], i[19], i[20],
                           i[21], i[22], i[23], i[24], i[25], i[26], i[27], i[28], i[29], i[30], i[31], i[32], i[33],
                           i[34], i[35], i[36], i[37], i[38], i[39]);
    if (code) {
      const auto error = reinterpret_cast<const char* (*)()>(dlsym(library, "a3d_gpu_last_error"));
      return fprintf(stderr, "%s: %s\n", name.c_str(), error()), 4;
    }
  }
  FILE* out = fopen(arguments[3], "wb");
  for (const auto& buffer : buffers) fwrite(buffer.data(), 1, buffer.size(), out);
  return fclose(out);
}
