// Entry points of the search for closest points on the device: the layout of its tree, and its kernels in order.
#include "gpu/closest.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/carver.h"
#include "gpu/launch.h"
#include "gpu/sort_run.h"

using namespace a3d;
using namespace a3d::gpu;

namespace {

struct Tree {
  ClosestShape shape;
  ClosestBox *bounds, *leaves, *nodes[kClosestLevels];
  ClosestRecord* records;
  SortBuffers sort;
  int64_t bytes;
};

Tree tree_in(uint8_t* workspace, int64_t f) {
  Carver carver(workspace);
  Tree tree = {};
  tree.shape = closest_shape(f, kClosestArity);
  tree.bounds = carver.take<ClosestBox>(1);
  tree.leaves = carver.take<ClosestBox>(tree.shape.leaves);
  for (int level = 0; level < tree.shape.levels; level++)
    tree.nodes[level] = carver.take<ClosestBox>(tree.shape.nodes[level]);
  tree.records = carver.take<ClosestRecord>(f);
  for (int i = 0; i < 2; i++) tree.sort.keys[i] = carver.take<uint32_t>(f), tree.sort.values[i] = carver.take<uint32_t>(f);
  tree.sort.histogram = carver.take<uint32_t>(sort_histogram(f));
  tree.sort.sums = carver.take<uint32_t>(scan_sums(sort_histogram(f)));
  tree.bytes = carver.bytes();
  return tree;
}
}  // namespace

extern "C" {

int32_t a3d_gpu_closest_workspace(int64_t f, int64_t* bytes) {
  if (f < 1 || f >= int64_t(1) << 31) return fail("a mesh of %lld faces", (long long)f);
  *bytes = tree_in(nullptr, f).bytes;
  return 0;
}

int32_t a3d_gpu_closest_build(const float* vertices, const int32_t* faces, int64_t v, int64_t f, uint8_t* tree,
                              void* stream) {
  const Tree t = tree_in(tree, f);
  ClosestBuildArgs args = {vertices,  faces,   v,       f, t.bounds, t.sort.keys[0], t.sort.values[0],
                           t.records, nullptr, nullptr, 0, 0};
  if (const int code = launch("a3d_closest_bounds", {1}, kBoundsThreads, stream, args)) return code;
  if (const int code = launch("a3d_closest_keys", {blocks_of(f, kClosestThreads)}, kClosestThreads, stream, args))
    return code;
  int from = 0;
  if (const int code = sort(t.sort, nullptr, f, kMortonBits, &from, stream)) return code;
  args.keys = t.sort.keys[from], args.values = t.sort.values[from];
  args.boxes = t.leaves, args.count = t.shape.leaves;
  if (const int code =
          launch("a3d_closest_leaves", {blocks_of(args.count, kClosestThreads)}, kClosestThreads, stream, args))
    return code;
  for (int level = 0; level < t.shape.levels; level++) {
    args.below = args.boxes, args.below_count = args.count;
    args.boxes = t.nodes[level], args.count = t.shape.nodes[level];
    if (const int code =
            launch("a3d_closest_nodes", {blocks_of(args.count, kClosestThreads)}, kClosestThreads, stream, args))
      return code;
  }
  return 0;
}

int32_t a3d_gpu_closest_query(const float* points, const uint8_t* tree, int64_t m, int64_t f, float radius,
                              int32_t* face, float* bary, float* distance, void* stream) {
  const Tree t = tree_in(const_cast<uint8_t*>(tree), f);
  ClosestQueryArgs args = {points, m, f, radius, t.bounds, t.records, {}, {}, t.shape.levels, face, bary, distance};
  args.boxes[0] = t.leaves, args.count[0] = t.shape.leaves;
  for (int level = 0; level < t.shape.levels; level++)
    args.boxes[level + 1] = t.nodes[level], args.count[level + 1] = t.shape.nodes[level];
  return launch("a3d_closest_query", {blocks_of(m, kClosestThreads)}, kClosestThreads, stream, args);
}
}
