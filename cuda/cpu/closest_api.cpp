// Entry points of the search for closest points on a mesh, and how its tree is built.
#include "cpu/closest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"

namespace {
using namespace a3d;

constexpr int64_t kArity = kClosestArity;

int64_t bytes_of(const ClosestShape& shape) {
  int64_t bytes = sizeof(ClosestHead) + shape.leaves * sizeof(ClosestLeaf);
  for (int level = 0; level < shape.levels; level++) bytes += shape.nodes[level] * sizeof(ClosestNode);
  return bytes;
}

ClosestTree tree_in(uint8_t* workspace, int64_t faces) {
  ClosestTree tree{closest_shape(faces, kClosestArity), nullptr, nullptr, {}};
  tree.head = reinterpret_cast<ClosestHead*>(workspace);
  tree.leaves = reinterpret_cast<ClosestLeaf*>(tree.head + 1);
  ClosestNode* at = reinterpret_cast<ClosestNode*>(tree.leaves + tree.shape.leaves);
  for (int level = 0; level < tree.shape.levels; at += tree.shape.nodes[level++]) tree.nodes[level] = at;
  return tree;
}

struct Centre {
  float at[3];
  int32_t face;
};

// Orders faces so that every run of 16, 256, ... of them, from the first, lies close together: halves along the longest
// side, cut where a run ends.
void arrange(Centre* first, int64_t count) {
  if (count <= kArity) {
    std::sort(first, first + count, [](const Centre& a, const Centre& b) { return a.face < b.face; });
    return;
  }
  int64_t run = kArity;
  while (run * kArity < count) run *= kArity;
  const int64_t half = std::max<int64_t>(1, (count / 2 + run / 2) / run) * run;
  const int64_t cut = half < count ? half : half - run;
  float low[3], high[3];
  for (int c = 0; c < 3; c++) low[c] = high[c] = first->at[c];
  for (int64_t i = 1; i < count; i++)
    for (int c = 0; c < 3; c++)
      low[c] = std::min(low[c], first[i].at[c]), high[c] = std::max(high[c], first[i].at[c]);
  int axis = 0;
  for (int c = 1; c < 3; c++)
    if (high[c] - low[c] > high[axis] - low[axis]) axis = c;
  std::nth_element(first, first + cut, first + count, [axis](const Centre& a, const Centre& b) {
    return a.at[axis] != b.at[axis] ? a.at[axis] < b.at[axis] : a.face < b.face;
  });
  arrange(first, cut);
  arrange(first + cut, count - cut);
}

// Writes column `column` of a leaf; returns the squared length of the longest edge.
double write_triangle(const float* vertices, const int32_t* faces, int32_t face, int column, ClosestLeaf& leaf) {
  const SortedCorners sorted = sorted_corners(faces + 3 * int64_t(face));
  const float* corner[3];
  for (int k = 0; k < 3; k++) corner[k] = vertices + 3 * int64_t(sorted.vertex[k]);
  float record[kTriangleFloats];
  const double longest = write_record<double>(corner[0], corner[1], corner[2], record);
  for (int k = 0; k < kTriangleFloats; k++) leaf.triangle[k][column] = record[k];
  for (int c = 0; c < 3; c++) {
    leaf.box[c][column] = std::min({corner[0][c], corner[1][c], corner[2][c]});
    leaf.box[3 + c][column] = std::max({corner[0][c], corner[1][c], corner[2][c]});
  }
  leaf.face[column] = face;
  leaf.order[column] = sorted.order[0] | sorted.order[1] << 2 | sorted.order[2] << 4;
  return longest;
}

struct Box {
  float low[3], high[3];
  void add(const float* lowest, const float* highest) {
    for (int c = 0; c < 3; c++) low[c] = std::min(low[c], lowest[c]), high[c] = std::max(high[c], highest[c]);
  }
};
constexpr float kNowhere = std::numeric_limits<float>::infinity();
constexpr Box kNothing = {{kNowhere, kNowhere, kNowhere}, {-kNowhere, -kNowhere, -kNowhere}};

template <class Child>
Box box_of(const Child& child) {
  Box box = kNothing;
  for (int i = 0; i < kArity; i++) {
    const float low[3] = {child.box[0][i], child.box[1][i], child.box[2][i]};
    const float high[3] = {child.box[3][i], child.box[4][i], child.box[5][i]};
    box.add(low, high);
  }
  return box;
}

template <class Child>
void write_nodes(const Child* children, int64_t count, ClosestNode* nodes) {
  for (int64_t i = 0; i < (count + kArity - 1) / kArity * kArity; i++) {
    const Box box = i < count ? box_of(children[i]) : kNothing;
    for (int c = 0; c < 3; c++) {
      nodes[i / kArity].box[c][i % kArity] = box.low[c];
      nodes[i / kArity].box[3 + c][i % kArity] = box.high[c];
    }
  }
}
}  // namespace

extern "C" {

int32_t a3d_closest_workspace(int64_t faces, int64_t* bytes) {
  if (faces < 1 || faces >= int64_t(1) << 31) return fail("a mesh of %lld faces", (long long)faces);
  *bytes = bytes_of(closest_shape(faces, kClosestArity));
  return 0;
}

int32_t a3d_closest_build(const float* vertices, const int32_t* faces, int64_t v, int64_t f, uint8_t* tree,
                          int32_t threads) {
  for (int64_t i = 0; i < 3 * f; i++)
    if (faces[i] < 0 || faces[i] >= v)
      return fail("face %lld names vertex %d of %lld", (long long)(i / 3), faces[i], (long long)v);
  const ClosestTree built = tree_in(tree, f);
  std::vector<Centre> centres(size_t(f), Centre{});
  for (int64_t i = 0; i < f; i++) {
    centres[i].face = int32_t(i);
    for (int c = 0; c < 3; c++)
      for (int k = 0; k < 3; k++) centres[i].at[c] += vertices[3 * int64_t(faces[3 * i + k]) + c];
  }
  arrange(centres.data(), f);
  constexpr int64_t kTask = 64;  // leaves
  const int64_t tasks = (built.shape.leaves + kTask - 1) / kTask;
  std::vector<double> longest(size_t(tasks), 0.0);
  Pool::run(tasks, threads, [&](int64_t task) {
    double most = 0;
    for (int64_t leaf = task * kTask; leaf < std::min((task + 1) * kTask, built.shape.leaves); leaf++)
      for (int i = 0; i < kArity; i++) {
        const int32_t face = centres[size_t(std::min(leaf * kArity + i, f - 1))].face;
        most = std::max(most, write_triangle(vertices, faces, face, i, built.leaves[leaf]));
      }
    longest[size_t(task)] = most;
  });
  built.head->extent = float(std::sqrt(*std::max_element(longest.begin(), longest.end())));
  write_nodes(built.leaves, built.shape.leaves, built.nodes[0]);
  for (int level = 1; level < built.shape.levels; level++)
    write_nodes(built.nodes[level - 1], built.shape.nodes[level - 1], built.nodes[level]);
  return 0;
}

int32_t a3d_closest_query(const float* points, const uint8_t* tree, int64_t m, int64_t f, float radius, int32_t* face,
                          float* bary, float* distance, int32_t threads) {
  const ClosestJob job{tree_in(const_cast<uint8_t*>(tree), f), points, radius, face, bary, distance};
  const auto loop = A3D_PICK(closest_query);
  Pool::run((m + kClosestChunk - 1) / kClosestChunk, threads, [&](int64_t chunk) {
    loop(job, chunk * kClosestChunk, std::min((chunk + 1) * kClosestChunk, m));
  });
  return 0;
}
}
