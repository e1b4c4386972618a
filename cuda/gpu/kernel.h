// What every .cu file includes: device code only, so that nvcc, NVRTC and the emulator compile the same file.
//
// A kernel is A3D_KERNEL(name, Arguments, threads[, blocks]) { ... args.x ... }: one structure of plain values and
// pointers by value, `threads` in a block at most and, if given, blocks that must fit on a multiprocessor (this bounds
// its registers). Blocks have one axis (threadIdx.x), grids up to three. Shared memory is A3D_SHARED(type, name, count),
// one-dimensional, its elements read and written whole: so the emulator can watch them. A3D_COUNT(event) counts an event
// 0 to 7 in the emulator and is nothing on a device.
#pragma once
#if defined(A3D_EMULATOR)
#include "emulator/cuda.h"
#define A3D_SHARED(type, name, count) static constinit ::a3d::emulator::Shared<type, count> name(#name)
#define A3D_COUNT(event) (::a3d::emulator::current->events[event]++)
#define A3D_KERNEL(name, Arguments, ...)                                                                          \
  static void name(const Arguments& args);                                                                        \
  static ::a3d::emulator::Kernel name##_entry(                                                                    \
      #name, [](const void* given) { name(*static_cast<const Arguments*>(given)); }, sizeof(Arguments), __VA_ARGS__); \
  static void name(const Arguments& args)
#else
#define A3D_SHARED(type, name, count) __shared__ type name[count]
#define A3D_COUNT(event) ((void)0)
#define A3D_KERNEL(name, Arguments, ...) \
  extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Arguments args)
#endif

#include "math/integers.h"
#include "gpu/scalar.h"
