// Closest points on a mesh: what the entry points (closest_api.cpp) and the loops (closest.cpp) share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"
#include "math/closest_tree.h"

namespace a3d {

constexpr int kClosestArity = 16;         // one vector of AVX-512; two or four of others
constexpr int64_t kClosestChunk = 256;    // points a task

// Sixteen triangles: column i of each row belongs to one of them. Columns beyond the last face repeat it.
struct alignas(64) ClosestLeaf {
  float box[kBoxFloats][kClosestArity];  // of each triangle
  float triangle[kTriangleFloats][kClosestArity];
  int32_t face[kClosestArity];   // rising
  int32_t order[kClosestArity];  // corners of the face that a, b, c are: 2 bits each
};
// Boxes of sixteen children; those that are not there are never near.
struct alignas(64) ClosestNode {
  float box[kBoxFloats][kClosestArity];
};
struct alignas(64) ClosestHead {
  float extent;  // longest edge of a triangle
};

// The tree in a workspace: head, leaves, then nodes level by level.
struct ClosestTree {
  ClosestShape shape;
  ClosestHead* head;
  ClosestLeaf* leaves;
  ClosestNode* nodes[kClosestLevels];
};

struct ClosestJob {
  ClosestTree tree;
  const float* points;  // m 3
  float radius;
  int32_t* face;    // m
  float* bary;      // m 3
  float* distance;  // m
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Finds the closest faces of points [begin, end).
    void closest_query(const ClosestJob& job, int64_t begin, int64_t end);
)
