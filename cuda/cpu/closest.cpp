// Loops of the search for closest points: one point against sixteen boxes or triangles at a time. A point begins with the
// leaf where the one before it ended, for samples of a ray lie side by side: so the bound is tight from the start, and
// the walk through the tree mostly confirms it. Pruning never decides: a box is left out only where rounding, too, puts
// all of its triangles beyond the best one.
#include "cpu/closest.h"

#include "cpu/simd.h"
#include "math/closest.h"

namespace a3d::A3D_ISA {
namespace {

constexpr int kParts = kClosestArity / kLanes;
constexpr float kFar = 3e38f;  // squared: farther than anything

struct Best {
  float squared, bound;  // boxes beyond `bound` cannot hold a triangle as near as `squared`
  int32_t face, leaf, column;
};

// Rounding errors of distances are some 2e-7 of the distance plus the triangle's size (2e-7 > 3 units of 2^-24).
A3D_INLINE float bound_of(float squared, float extent) {
  const float bound = __builtin_sqrtf(squared) * 1.000002f + 2e-6f * extent;
  return bound * bound < kFar ? bound * bound : kFar;
}

A3D_INLINE Triangle<F> triangle_of(const ClosestLeaf& leaf, int part) {
  Triangle<F> out;
  const float* row = leaf.triangle[0] + part * kLanes;
  F* to[7] = {out.a, out.b, out.c, out.along[0], out.along[1], out.normal, out.per_length};
#pragma GCC unroll 7
  for (int k = 0; k < 7; k++)
    for (int c = 0; c < 3; c++, row += kClosestArity) to[k][c] = load(row);
  return out;
}

// Squared distances of sixteen boxes, as far as they go into vector `part`.
A3D_INLINE F away_of(const float (*box)[kClosestArity], int part, const F* point) {
  F sides[kBoxFloats];
  for (int k = 0; k < kBoxFloats; k++) sides[k] = load(box[k] + part * kLanes);
  return box_distance(sides, sides + 3, point);
}

A3D_INLINE void try_leaf(const ClosestTree& tree, int64_t at, const F* point, Best& best) {
  const ClosestLeaf& leaf = tree.leaves[at];
  for (int part = 0; part < kParts; part++) {
    // Most leaves only confirm what is known: a look at the triangles' boxes is a fifth of the work.
    if (!bits_le(away_of(leaf.box, part, point), splat(best.bound))) continue;
    const F squared = nearest(triangle_of(leaf, part), point).squared;
    const unsigned near = bits_le(squared, splat(best.squared));
    if (!near) continue;
    alignas(64) float each[kLanes];
    store(each, squared);
    for (unsigned left = near; left; left &= left - 1) {  // faces rise: the first of equals is the lowest
      const int i = __builtin_ctz(left), column = part * kLanes + i;
      if (each[i] > best.squared || (each[i] == best.squared && leaf.face[column] >= best.face)) continue;
      best = {each[i], 0.f, leaf.face[column], int32_t(at), column};
    }
    best.bound = bound_of(best.squared, tree.head->extent);
  }
}

// Children of a node that may hold something near, and how far away they are.
struct Open {
  int64_t node;
  unsigned children;
  alignas(64) float away[kClosestArity];
};

A3D_INLINE void open(const ClosestTree& tree, int level, int64_t node, const F* point, const Best& best, Open& out) {
  out.node = node;
  out.children = 0;
  for (int part = 0; part < kParts; part++) {
    const F away = away_of(tree.nodes[level][node].box, part, point);
    store(out.away + part * kLanes, away);
    out.children |= bits_le(away, splat(best.bound)) << (part * kLanes);
  }
}

// The nearest child that is left, taken out of the list; -1 where none can be near.
A3D_INLINE int take(Open& from, const Best& best) {
  int nearest = -1;
  float away = best.bound;
  for (unsigned left = from.children; left; left &= left - 1) {
    const int i = __builtin_ctz(left);
    if (from.away[i] <= away) nearest = i, away = from.away[i];
  }
  if (nearest >= 0) from.children &= ~(1u << nearest);
  return nearest;
}

A3D_INLINE void search(const ClosestTree& tree, const F* point, int32_t known, Best& best) {
  Open levels[kClosestLevels];
  int level = tree.shape.levels - 1;
  open(tree, level, 0, point, best, levels[level]);
  for (;;) {
    const int child = take(levels[level], best);
    if (child < 0) {
      if (++level == tree.shape.levels) return;
      continue;
    }
    const int64_t at = levels[level].node * kClosestArity + child;
    if (level > 0) {
      level--;
      open(tree, level, at, point, best, levels[level]);
    } else if (at != known) {
      try_leaf(tree, at, point, best);
    }
  }
}

A3D_INLINE void write(const ClosestJob& job, int64_t i, const F* point, const Best& best) {
  const ClosestLeaf& leaf = job.tree.leaves[best.leaf];
  const Nearest<F> found = nearest(triangle_of(leaf, best.column / kLanes), point);
  for (int k = 0; k < 3; k++)
    job.bary[3 * i + (leaf.order[best.column] >> 2 * k & 3)] = found.weight[k][best.column % kLanes];
  job.face[i] = best.face;
  job.distance[i] = __builtin_sqrtf(best.squared);
}
}  // namespace

void closest_query(const ClosestJob& job, int64_t begin, int64_t end) {
  const float within = job.radius * job.radius < kFar ? job.radius * job.radius : kFar;
  const float extent = job.tree.head->extent;
  int32_t known = -1;
  for (int64_t i = begin; i < end; i++) {
    const float* p = job.points + 3 * i;
    const F point[3] = {splat(p[0]), splat(p[1]), splat(p[2])};
    Best best = {within, bound_of(within, extent), 0x7fffffff, -1, 0};
    const bool finite = p[0] - p[0] == 0.f && p[1] - p[1] == 0.f && p[2] - p[2] == 0.f;
    if (finite && known >= 0) try_leaf(job.tree, known, point, best);
    if (finite) search(job.tree, point, known, best);
    known = best.leaf;
    if (known >= 0) {
      write(job, i, point, best);
      continue;
    }
    job.face[i] = -1;
    job.distance[i] = job.radius;
    for (int c = 0; c < 3; c++) job.bary[3 * i + c] = 0.f;
  }
}

}  // namespace a3d::A3D_ISA
