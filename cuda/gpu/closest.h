// Closest points on a mesh, on the device: data that the kernels share.
#pragma once
#include "math/closest_tree.h"

namespace a3d::gpu {

constexpr int kClosestThreads = 128;  // a point, face, leaf or node each
constexpr int kBoundsThreads = 256;   // one block: some vertices each
constexpr int kClosestArity = 8;      // of nodes and leaves: a thread looks at children one after the other
constexpr int kMortonBits = 30;

struct alignas(8) ClosestBox {
  float low[3], high[3];
};
struct alignas(16) ClosestRecord {
  float triangle[kTriangleFloats];
  int32_t face;
  int32_t order;  // corners of the face that a, b, c are: 2 bits each
  int32_t unused;
};

struct ClosestBuildArgs {
  const float* vertices;  // v 3
  const int32_t* faces;   // f 3
  int64_t v, f;
  ClosestBox* bounds;  // of the vertices
  uint32_t *keys, *values;  // f: Morton codes of faces' middles, and the faces; from the sort
  ClosestRecord* records;   // f, in the order of the sort
  const ClosestBox* below;  // of one level, the leaves first
  ClosestBox* boxes;        // of the next
  int64_t below_count, count;
};

struct ClosestQueryArgs {
  const float* points;  // m 3
  int64_t m, f;
  float radius;
  const ClosestBox* bounds;
  const ClosestRecord* records;
  const ClosestBox* boxes[kClosestLevels + 1];  // leaves, then nodes, level by level
  int64_t count[kClosestLevels + 1];
  int32_t top;      // the root's level
  int32_t* face;    // m
  float* bary;      // m 3
  float* distance;  // m
};

}  // namespace a3d::gpu
