// The tree of boxes over a mesh as it lies in memory, for a CPU and for CUDA: every node has `arity` children and every
// leaf as many triangles (the last of a level perhaps fewer), so that a child's number says where it is, without pointers.
#pragma once
#include "math/integers.h"
#if !defined(__CUDACC_RTC__)
#include <math.h>
#endif
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

// a b - c d. In double precision as it stands; floats take the rounding of the second product back (Kahan), for the
// difference of two nearly equal ones is what slivers are made of.
A3D_BOTH double product_difference(double a, double b, double c, double d) { return a * b - c * d; }
A3D_BOTH float product_difference(float a, float b, float c, float d) {
  const float second = c * d;
  return fmaf(a, b, -second) + fmaf(-c, d, second);
}

template <class T>
A3D_BOTH void cross(const T* a, const T* b, T* out) {
  for (int c = 0; c < 3; c++) {
    const int u = (c + 1) % 3, v = (c + 2) % 3;
    out[c] = product_difference(a[u], b[v], a[v], b[u]);
  }
}

// A triangle's record (math/closest.h) from its corners; T is the type to reckon in. Returns the squared length of its
// longest edge. A triangle with an angle below a millionth is no more than its edges.
template <class T>
A3D_BOTH T write_record(const float* a, const float* b, const float* c, float* record) {
  T edge[3][3], normal[3], along[2][3], length[3] = {T(0), T(0), T(0)}, area = T(0);
  for (int i = 0; i < 3; i++) {
    record[i] = a[i], record[3 + i] = b[i], record[6 + i] = c[i];
    edge[0][i] = T(b[i]) - T(a[i]), edge[1][i] = T(c[i]) - T(a[i]), edge[2][i] = T(c[i]) - T(b[i]);
    for (int k = 0; k < 3; k++) length[k] += edge[k][i] * edge[k][i];
  }
  cross(edge[0], edge[1], normal);
  cross(edge[1], normal, along[0]);
  cross(normal, edge[0], along[1]);
  for (int i = 0; i < 3; i++) area += normal[i] * normal[i];
  const bool flat = !(area > T(1e-12f) * length[0] * length[1]);
  const T none = T(0), per_area = T(1) / area, per_normal = T(1) / T(sqrt(area));
  for (int i = 0; i < 3; i++) {
    record[9 + i] = flat ? float(none / none) : float(along[0][i] * per_area);
    record[12 + i] = flat ? float(none / none) : float(along[1][i] * per_area);
    record[15 + i] = flat ? 0.f : float(normal[i] * per_normal);
    record[18 + i] = length[i] > T(1e-36f) ? float(T(1) / length[i]) : 0.f;
  }
  const T longer = length[0] > length[1] ? length[0] : length[1];
  return longer > length[2] ? longer : length[2];
}

}  // namespace a3d
