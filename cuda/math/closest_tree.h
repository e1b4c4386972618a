// The tree of boxes over a mesh as it lies in memory, for a CPU and for CUDA: every node has `arity` children and every
// leaf as many triangles (the last of a level perhaps fewer), so that a child's number says where it is, without pointers.
#pragma once
#include "math/integers.h"
#if defined(__CUDACC__)
#define A3D_BOTH __host__ __device__ __forceinline__
#else
#define A3D_BOTH inline
#endif

namespace a3d {

constexpr int kTriangleFloats = 21;  // as in math/closest.h: a, b, c, along, normal, per_length
constexpr int kBoxFloats = 6;        // lowest, highest corner
constexpr int kClosestLevels = 12;   // of nodes, at most

// How many nodes each level has, from those whose children are leaves (level 0) up to the root.
struct ClosestShape {
  int64_t leaves;
  int levels;
  int64_t nodes[kClosestLevels];
};

A3D_BOTH ClosestShape closest_shape(int64_t faces, int arity) {
  ClosestShape shape = {};
  int64_t count = shape.leaves = (faces + arity - 1) / arity;
  do {
    count = (count + arity - 1) / arity;
    shape.nodes[shape.levels++] = count;
  } while (count > 1);
  return shape;
}

// Corners of a face in rising order of their numbers; corner k of the record is the face's corner order[k].
struct SortedCorners {
  int32_t vertex[3], order[3];
};

A3D_BOTH SortedCorners sorted_corners(const int32_t* face) {
  SortedCorners out = {{face[0], face[1], face[2]}, {0, 1, 2}};
  for (int pass = 0; pass < 3; pass++) {
    const int i = pass % 2, j = i + 1;
    if (out.vertex[i] <= out.vertex[j]) continue;
    const int32_t vertex = out.vertex[i], order = out.order[i];
    out.vertex[i] = out.vertex[j], out.order[i] = out.order[j];
    out.vertex[j] = vertex, out.order[j] = order;
  }
  return out;
}

}  // namespace a3d
